import { useState } from "preact/hooks";
import { token } from "./api";
import type { Words } from "./words";

// Login asks for the operator's token.
export function Login({ t, refused, done }: { t: Words; refused: boolean; done: () => void }) {
  const [text, setText] = useState("");
  function submit(e: Event) {
    e.preventDefault();
    token.set(text.trim());
    done();
  }
  return (
    <form class="login panel" onSubmit={submit}>
      <p>{t("login")}</p>
      {refused && <p class="bad">{t("wrongToken")}</p>}
      <label>
        {t("token")}
        <input type="password" autocomplete="off" value={text} onInput={(e) => setText(e.currentTarget.value)} />
      </label>
      <button type="submit">{t("open")}</button>
    </form>
  );
}
