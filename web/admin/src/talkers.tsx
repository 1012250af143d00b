import type { Talkers as All } from "./api";
import type { Polled } from "./poll";
import { written } from "./numbers";
import type { Words } from "./words";

// Talkers lists who asks for the most.
export function Talkers({ polled, t }: { polled: Polled<All>; t: Words }) {
  const all = polled.value;
  const talkers = all?.talkers ?? [];
  return (
    <section>
      <h2>{t("talkers")}</h2>
      <div class="panel list">
        {talkers.length === 0 && <p class="empty">{t("noTalkers")}</p>}
        {talkers.slice(0, 10).map((x) => (
          <div class="talker" key={x.user}>
            <code>{x.user}</code>
            <progress max={all!.total} value={x.count - x.error} />
            <span title={`${t("atMost")} ${x.count - x.error}`}>
              {((x.count / Math.max(1, all!.total)) * 100).toFixed(1)}% · {written(x.count)}
            </span>
          </div>
        ))}
      </div>
    </section>
  );
}
