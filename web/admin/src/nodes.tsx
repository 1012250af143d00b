import { useState } from "preact/hooks";
import type { NodeNow } from "./api";
import { written } from "./numbers";
import type { Words } from "./words";

const page = 50;

function status(n: NodeNow): "up" | "down" | "unhealthy" | "draining" {
  if (!n.up) return "down";
  if (n.values.healthy === 0) return "unhealthy";
  return n.state === "draining" ? "draining" : "up";
}

const order = { down: 0, unhealthy: 1, draining: 2, up: 3 };

// Nodes lists the nodes, those in trouble first. However many there are, few are
// drawn.
export function Nodes({ nodes, t }: { nodes: NodeNow[]; t: Words }) {
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState(page);
  const roles = (n: NodeNow) => (n.roles ?? []).map((r) => t("role." + r, r)).join(", ");
  const matching = nodes
    .filter((n) => filter === "" || `${n.name} ${(n.roles ?? []).join(" ")} ${roles(n)} ${n.version} ${status(n)}`.includes(filter))
    .sort((a, b) => order[status(a)] - order[status(b)] || a.name.localeCompare(b.name));
  const columns: [string, (n: NodeNow) => string][] = [
    ["roles", (n) => roles(n) || "–"],
    ["version", (n) => n.version || "–"],
    ["slots", (n) => (n.slots ? String(n.slots) : "–")],
    ["links", (n) => written(n.values.links)],
    ["requests", (n) => written(n.values.requests)],
    ["commands", (n) => written(n.values.commands)],
    ["queued", (n) => written(n.values.queued)],
    ["cpu", (n) => written(n.values.cpu, "s/s")],
    ["memory", (n) => written(n.values.memory, "bytes")],
  ];
  return (
    <section>
      <h2>
        {t("nodes")} <small>{nodes.length}</small>
      </h2>
      {nodes.length > 5 && <input class="filter" placeholder={t("filter")} value={filter} onInput={(e) => setFilter(e.currentTarget.value)} />}
      <table class="panel nodes">
        <thead>
          <tr>
            <th>{t("name")}</th>
            <th>{t("status")}</th>
            {columns.map(([id]) => (
              <th key={id}>{t(id)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matching.slice(0, shown).map((n) => (
            <tr key={n.name}>
              <th scope="row">
                {n.name}
                {n.error && <small class="why">{n.error}</small>}
              </th>
              <td data-label={t("status")}>
                <span class={"dot " + status(n)} />
                {t(status(n))}
              </td>
              {columns.map(([id, read]) => (
                <td key={id} data-label={t(id)}>
                  {read(n)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {matching.length > shown && <button onClick={() => setShown(shown + page)}>{t("more")}</button>}
    </section>
  );
}
