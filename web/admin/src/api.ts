// What the monitor answers; see docs/MONITORING.md.

export interface NodeNow {
  name: string;
  url?: string;
  up: boolean;
  error?: string;
  roles: string[] | null;
  version?: string;
  state?: string;
  slots?: number;
  age_ms: number;
  values: Record<string, number>;
}

export interface Alert {
  rule: string;
  subject?: string;
  value: number;
  why?: string;
  since: number;
}

export interface State {
  time: number;
  monitor: { name: string; version: string; writes: boolean; problems: string[]; pause_ms: number; series: { series: number; bound: number } };
  nodes: NodeNow[];
  alerts: Alert[];
}

export interface Data {
  name: string;
  start: number;
  step: number;
  values: (number | null)[];
}

export interface ChartData {
  id: string;
  title: string;
  unit: string;
  lines: { id: string }[];
  optional?: boolean;
  data: Data[];
}

export interface Span {
  id: string;
  step: string;
  start: number;
  end: number;
  of: string;
  node: string;
  error?: unknown;
}

export interface Trace {
  id: string;
  longest_ns: number;
  spans: Span[];
}

export interface Talker {
  user: string;
  count: number;
  error: number;
}

export interface Talkers {
  seconds: number;
  total: number;
  talkers: Talker[];
}

// Unauthorized is thrown when the monitor wants a token, or another one.
export class Unauthorized extends Error {}

const tokenKey = "skein-token";

// The token is kept for this tab only.
export const token = {
  get: () => sessionStorage.getItem(tokenKey) ?? "",
  set: (t: string) => (t ? sessionStorage.setItem(tokenKey, t) : sessionStorage.removeItem(tokenKey)),
};

const patience = 10_000;

export async function ask<T>(path: string): Promise<T> {
  const headers: Record<string, string> = {};
  if (token.get()) headers.Authorization = "Bearer " + token.get();
  const res = await fetch("/monitor/" + path, { headers, signal: AbortSignal.timeout(patience), cache: "no-store" });
  if (res.status === 401) throw new Unauthorized();
  if (!res.ok) throw new Error(`${res.status} ${(await res.text()).slice(0, 200)}`);
  return (await res.json()) as T;
}
