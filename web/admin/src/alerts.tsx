import type { Alert } from "./api";
import { clock, written } from "./numbers";
import type { Words } from "./words";

const units: Record<string, string> = { latency: "s", outbox: "s", standby: "s" };
const shares = ["errors", "queue", "disk"];

function value(a: Alert): string {
  if (shares.includes(a.rule)) return (a.value * 100).toFixed(0) + "%";
  if (a.rule === "surge") return "×" + a.value.toFixed(1);
  return a.rule === "availability" ? "" : written(a.value, units[a.rule]);
}

// Alerts says what is wrong.
export function Alerts({ alerts, problems, t }: { alerts: Alert[]; problems: string[]; t: Words }) {
  return (
    <section class="alerts" aria-live="polite">
      <h2>{t("alerts")}</h2>
      {problems.map((p) => (
        <p class="panel problem" key={p}>
          {p}
        </p>
      ))}
      {alerts.length === 0 && problems.length === 0 && <p class="panel good">{t("noAlerts")}</p>}
      {alerts.slice(0, 20).map((a) => (
        <p class="panel alert" key={a.rule + a.subject}>
          <strong>{t("rule." + a.rule, a.rule)}</strong> <b>{value(a)}</b> {a.subject || t("cluster")}
          <small>
            {t("since")} {clock(a.since)} {a.why}
          </small>
        </p>
      ))}
      {alerts.length > 20 && <p class="empty">+ {alerts.length - 20}</p>}
    </section>
  );
}
