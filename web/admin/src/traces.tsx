import { useState } from "preact/hooks";
import type { Trace } from "./api";
import type { Polled } from "./poll";
import { clock, duration } from "./numbers";
import type { Words } from "./words";

function Waterfall({ trace }: { trace: Trace }) {
  const spans = [...trace.spans].sort((a, b) => a.start - b.start);
  const begin = Math.min(...trace.spans.map((s) => s.start));
  const all = Math.max(1, Math.max(...trace.spans.map((s) => s.end)) - begin);
  return (
    <ol class="waterfall">
      {spans.slice(0, 100).map((s) => {
        const from = ((s.start - begin) / all) * 1000;
        const long = Math.max(2, ((s.end - s.start) / all) * 1000);
        return (
          <li key={s.id + s.step}>
            <span>{s.step}</span>
            <svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
              <rect x={Math.min(from, 998)} width={long} y="1" height="8" class={s.error ? "bad" : ""} />
            </svg>
            <span>{duration((s.end - s.start) / 1e9)}</span>
            <small>
              {s.of} · {s.node}
            </small>
          </li>
        );
      })}
    </ol>
  );
}

// Traces lists the slowest messages; each opens to the steps it took.
export function Traces({ polled, t }: { polled: Polled<{ traces: Trace[] | null; problems: string[] | null }>; t: Words }) {
  const [open, setOpen] = useState("");
  const traces = polled.value?.traces ?? [];
  return (
    <section>
      <h2>{t("traces")}</h2>
      <div class="panel list">
        {traces.length === 0 && <p class="empty">{t("noTraces")}</p>}
        {traces.slice(0, 10).map((x) => (
          <details key={x.id} open={open === x.id} onToggle={(e) => e.currentTarget.open && setOpen(x.id)}>
            <summary>
              <b>{duration(x.longest_ns / 1e9)}</b> <code>{x.id}</code>
              <small>
                {x.spans.length} {t("steps")}, {clock(x.spans[0]?.start / 1e9)}
              </small>
            </summary>
            {open === x.id && <Waterfall trace={x} />}
          </details>
        ))}
        {polled.value?.problems?.map((p) => (
          <p class="empty" key={p}>
            {t("tracesFailed")}: {p}
          </p>
        ))}
      </div>
    </section>
  );
}
