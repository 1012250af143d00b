import { useEffect, useState } from "preact/hooks";
import { token, type ChartData, type State, type Talkers as AllTalkers, type Trace } from "./api";
import { Alerts } from "./alerts";
import { Chart } from "./chart";
import { Login } from "./login";
import { Nodes } from "./nodes";
import { clock, written } from "./numbers";
import { usePoll } from "./poll";
import { Talkers } from "./talkers";
import { Traces } from "./traces";
import { firstLanguage, words, type Language, type Words } from "./words";

const ranges = [
  { id: "range5m", seconds: 299, every: 2 },
  { id: "range1h", seconds: 3599, every: 10 },
  { id: "range6h", seconds: 6 * 3600, every: 30 },
  { id: "range24h", seconds: 24 * 3600 - 60, every: 60 },
];
const day = 24 * 3600;

const themes = ["auto", "light", "dark"] as const;
type Theme = (typeof themes)[number];

function useTheme(): [Theme, () => void] {
  const [theme, set] = useState<Theme>((localStorage.getItem("skein-theme") as Theme) ?? "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("skein-theme", theme);
  }, [theme]);
  return [theme, () => set(themes[(themes.indexOf(theme) + 1) % themes.length])];
}

function useSystemDark(): boolean {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const [dark, set] = useState(query.matches);
  useEffect(() => {
    const hear = () => set(query.matches);
    query.addEventListener("change", hear);
    return () => query.removeEventListener("change", hear);
  }, []);
  return dark;
}

// App is the whole page.
export function App() {
  const [language, setLanguage] = useState<Language>(firstLanguage);
  const [theme, nextTheme] = useTheme();
  const [locked, setLocked] = useState<"no" | "asks" | "refused">("no");
  const t = words(language);
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = t("title");
    localStorage.setItem("skein-language", language);
  }, [language]);
  function refuse() {
    // Several questions are refused at a time; the first one tells why.
    setLocked((before) => (before !== "no" ? before : token.get() ? "refused" : "asks"));
    token.set("");
  }
  return (
    <>
      <header>
        <h1>{t("title")}</h1>
        <nav>
          <button onClick={() => setLanguage(language === "en" ? "zh" : "en")}>{t("language")}</button>
          <button onClick={nextTheme}>
            {t("theme")}: {t(theme)}
          </button>
          {token.get() && (
            <button
              onClick={() => {
                token.set("");
                setLocked("asks");
              }}
            >
              {t("forget")}
            </button>
          )}
        </nav>
      </header>
      {locked === "no" ? (
        <Board t={t} look={language + theme} refuse={refuse} />
      ) : (
        <Login t={t} refused={locked === "refused"} done={() => setLocked("no")} />
      )}
    </>
  );
}

// worthDrawing: what a cluster does not have needs no empty chart.
function worthDrawing(c: ChartData): boolean {
  return !c.optional || c.data.some((d) => d.values.some((v) => v != null));
}

function newest(charts: ChartData[] | undefined, chart: string, line: string): number | null {
  const values = charts?.find((c) => c.id === chart)?.data.find((d) => d.name === line)?.values ?? [];
  for (let i = values.length - 1; i >= Math.max(0, values.length - 5); i--) if (values[i] != null) return values[i];
  return null;
}

function Tiles({ state, charts, t }: { state: State; charts?: ChartData[]; t: Words }) {
  const up = state.nodes.filter((n) => n.up).length;
  const tiles: [string, string][] = [
    [t("nodesUp"), `${up}/${state.nodes.length}`],
    [t("links"), written(newest(charts, "gateway", "links"))],
    [t("messages"), written(newest(charts, "messages", "sent"))],
    [t("clientQPS"), written(newest(charts, "qps", "client"))],
    [t("serverQPS"), written(newest(charts, "qps", "server"))],
    [t("envelopes"), written(newest(charts, "envelopes", "won"))],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value]) => (
        <div class="panel" key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

// Board is what there is to see. back is how many seconds before now its charts
// end.
function Board({ t, look, refuse }: { t: Words; look: string; refuse: () => void }) {
  const [range, setRange] = useState(0);
  const [back, setBack] = useState(0);
  const dark = useSystemDark();
  const r = ranges[range];
  const step = Math.round(r.seconds / 2);
  const state = usePoll<State>("state", 2, refuse);
  const live = usePoll<{ charts: ChartData[] }>("charts?from=-9&points=10", 2, refuse);
  const past = back > 0 ? `to=${-back}&` : "";
  const charts = usePoll<{ charts: ChartData[] }>(`charts?${past}from=${-back - r.seconds}&points=300`, r.every, refuse);
  const traces = usePoll<{ traces: Trace[] | null; problems: string[] | null }>("traces", 10, refuse);
  const talkers = usePoll<AllTalkers>("talkers", 5, refuse);
  if (!state.value) return <main>{state.error && <p class="panel problem">{t("unreachable")}: {state.error.message}</p>}</main>;
  const s = state.value;
  return (
    <main>
      {state.error && <p class="panel problem">{t("unreachable")}: {state.error.message}</p>}
      <Tiles state={s} charts={live.value?.charts} t={t} />
      <Alerts alerts={s.alerts} problems={s.monitor.problems} t={t} />
      <section>
        <h2>{t("charts")}</h2>
        <div class="controls" role="toolbar">
          {ranges.map((x, i) => (
            <button key={x.id} aria-pressed={i === range} onClick={() => setRange(i)}>
              {t(x.id)}
            </button>
          ))}
          <button onClick={() => setBack(Math.min(back + step, day - r.seconds > 0 ? day - r.seconds : 0))} aria-label={t("earlier")}>
            ◀ {t("earlier")}
          </button>
          <button disabled={back === 0} onClick={() => setBack(Math.max(0, back - step))} aria-label={t("later")}>
            {t("later")} ▶
          </button>
          {back === 0 ? <span class="live">● {t("live")}</span> : <button onClick={() => setBack(0)}>{t("now")}</button>}
        </div>
        <div class="charts">
          {charts.value?.charts.filter(worthDrawing).map((c) => (
            <Chart key={c.id} chart={c} t={t} look={`${look}${dark}${c.data.length}`} />
          ))}
        </div>
      </section>
      <Nodes nodes={s.nodes} t={t} />
      <div class="halves">
        <Traces polled={traces} t={t} />
        <Talkers polled={talkers} t={t} />
      </div>
      <footer>
        {s.monitor.name} · {s.monitor.version} · {clock(s.time)} · {s.monitor.series.series}/{s.monitor.series.bound}
        {!s.monitor.writes && <> · {t("standby")}</>}
      </footer>
    </main>
  );
}
