import { expect, test, type Page } from "@playwright/test";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const program = process.env.SKEIN ?? "../../bin/skein";

interface Server {
  process: ChildProcess;
  ops: string;
  data: string;
}

// serve starts a server on free ports.
function serve(...more: string[]): Promise<Server> {
  return start("serve", "--http", "127.0.0.1:0", "--link", "127.0.0.1:0", ...more);
}

// start starts a process in some role, with a data directory of its own.
function start(role: string, ...more: string[]): Promise<Server> {
  const data = mkdtempSync(join(tmpdir(), "skein-web-"));
  const args = [role, "--json", "--data", data, "--ops", "127.0.0.1:0", ...more];
  const process = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
  return new Promise((done, fail) => {
    let text = "";
    process.on("exit", () => fail(new Error("the server did not start")));
    process.stdout!.on("data", (b) => {
      text += b;
      if (text.includes("\n")) done({ process, data, ops: JSON.parse(text).ops });
    });
  });
}

async function stop(s: Server) {
  const gone = new Promise((done) => s.process.once("exit", done));
  s.process.kill("SIGTERM");
  await gone;
  rmSync(s.data, { recursive: true });
}

let server: Server;
test.beforeAll(async () => {
  server = await serve();
});
test.afterAll(() => stop(server));

// complaints are what the browser says against the page, its policy included.
function complaints(page: Page): string[] {
  const all: string[] = [];
  page.on("console", (m) => m.type() === "error" && all.push(m.text()));
  page.on("pageerror", (e) => all.push(e.message));
  return all;
}

const sizes = { desk: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const texts = { en: "Chat messages", zh: "聊天消息" };

for (const size of ["desk", "phone"] as const)
  for (const language of ["en", "zh"] as const)
    for (const theme of ["light", "dark"] as const)
      test(`${size} ${language} ${theme}`, async ({ browser }) => {
        const context = await browser.newContext({
          viewport: sizes[size],
          locale: language === "zh" ? "zh-CN" : "en-GB",
          colorScheme: theme,
        });
        const page = await context.newPage();
        const said = complaints(page);
        const elsewhere: string[] = [];
        page.on("request", (r) => !r.url().startsWith(`http://${server.ops}/`) && !r.url().startsWith("data:") && elsewhere.push(r.url()));
        await page.goto(`http://${server.ops}/dashboard/`);
        await expect(page.getByText(texts[language], { exact: true })).toBeVisible();
        await expect(page.locator("canvas")).toHaveCount(15);
        await expect(page.locator(".nodes tbody tr")).toHaveCount(1);
        await expect(page.locator(".dot.up")).toHaveCount(1);
        // Nothing is wider than the window.
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(sizes[size].width);
        const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor === "rgb(18, 21, 27)");
        expect(dark).toBe(theme === "dark");
        await page.screenshot({ path: `.results/${size}-${language}-${theme}.png`, fullPage: true });
        expect(said).toEqual([]);
        expect(elsewhere).toEqual([]);
        await context.close();
      });

test("language, theme and time can be changed, and the pace is fixed", async ({ page }) => {
  await page.goto(`http://${server.ops}/dashboard/`);
  await page.getByRole("button", { name: "中文" }).click();
  await expect(page.getByRole("heading", { name: "节点" })).toBeVisible();
  await page.getByRole("button", { name: "English" }).click();
  await page.getByRole("button", { name: /Theme/ }).click();
  await page.getByRole("button", { name: /Theme/ }).click();
  expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
  const past = page.waitForRequest((r) => /charts\?to=-\d+/.test(r.url()));
  await page.getByRole("button", { name: "1 h", exact: true }).click();
  await page.getByRole("button", { name: "Earlier" }).click();
  await past;
  await page.getByRole("button", { name: "Now", exact: true }).click();
  await expect(page.getByText("● Live")).toBeVisible();
});

test("off loopback it asks for the operator's token", async ({ page }) => {
  const guarded = await serve("--ops", "0.0.0.0:0");
  try {
    const port = guarded.ops.split(":").pop();
    const token = readFileSync(join(guarded.data, "operator.token"), "utf8").trim();
    await page.goto(`http://127.0.0.1:${port}/dashboard/`);
    await page.getByLabel("Operator's token").fill("wrong");
    await page.getByRole("button", { name: "Open" }).click();
    await expect(page.getByText("That token was refused.")).toBeVisible();
    await page.getByLabel("Operator's token").fill(token);
    await page.getByRole("button", { name: "Open" }).click();
    await expect(page.locator(".nodes tbody tr")).toHaveCount(1);
    expect(await page.evaluate(() => Object.keys(localStorage).join())).not.toContain("token");
  } finally {
    await stop(guarded);
  }
});

// redis starts a Redis of its own, and says where it is.
async function redis(): Promise<{ process: ChildProcess; addr: string }> {
  const port = await new Promise<number>((done, fail) => {
    const s = createServer().on("error", fail);
    s.listen(0, "127.0.0.1", () => {
      const { port } = s.address() as AddressInfo;
      s.close(() => done(port));
    });
  });
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"];
  const process = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
  return new Promise((done, fail) => {
    let text = "";
    process.on("exit", () => fail(new Error("Redis did not start: " + text)));
    process.stdout!.on("data", (b) => {
      text += b;
      if (text.includes("Ready to accept connections")) done({ process, addr: "127.0.0.1:" + port });
    });
  });
}

test("roles over a shared store have names, and charts of their own", async ({ browser }) => {
  test.skip(!!spawnSync("redis-server", ["--version"]).error, "no Redis is installed");
  const store = await redis();
  const certs = mkdtempSync(join(tmpdir(), "skein-certs-"));
  spawnSync(program, ["relay", "cert", "east", "west", "--dir", certs]);
  const shared = ["--store", "redis", "--redis", store.addr, "--cluster-secret", join(certs, "cluster.secret")];
  const region = ["--region", "east", "--directory", "east"];
  const running: Server[] = [];
  try {
    running.push(await start("mailbox", ...shared, ...region, "--role-listen", "127.0.0.1:0"));
    running.push(await start("gateway", ...shared, "--http", "127.0.0.1:0", "--link", "127.0.0.1:0"));
    running.push(await start("router", ...shared, "--router-listen", "127.0.0.1:0"));
    const keys = ["--relay-cert", join(certs, "east.pem"), "--relay-key", join(certs, "east-key.pem"), "--relay-ca", join(certs, "ca.pem")];
    running.push(
      await start("relay", ...shared, ...region, "--regions", "west=127.0.0.1:1", "--relay-listen", "127.0.0.1:0", "--role-listen", "127.0.0.1:0", ...keys),
    );
    const monitor = await start("monitor", ...shared);
    running.push(monitor);
    for (const [locale, names, chart] of [
      ["en-GB", ["gateway", "mailbox", "monitor", "relay", "router"], "Relay: regions"],
      ["zh-CN", ["中继", "信箱", "监控", "网关", "路由器"], "中继：地区"],
    ] as const) {
      const context = await browser.newContext({ locale });
      const page = await context.newPage();
      const said = complaints(page);
      await page.goto(`http://${monitor.ops}/`);
      await expect(page.locator(".nodes .dot.up")).toHaveCount(5);
      await expect.poll(async () => (await page.locator(".nodes tbody tr td:nth-child(3)").allInnerTexts()).sort()).toEqual([...names]);
      await expect(page.getByText(chart, { exact: true })).toBeVisible();
      // What nodes over a shared store do not have.
      await expect(page.locator('[data-chart="disk"]')).toHaveCount(0);
      expect(said).toEqual([]);
      await context.close();
    }
  } finally {
    for (const s of running.reverse()) await stop(s);
    store.process.kill("SIGKILL");
    rmSync(certs, { recursive: true });
  }
});
