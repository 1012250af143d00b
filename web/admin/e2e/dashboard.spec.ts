import { expect, test, type Page } from "@playwright/test";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
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
  const data = mkdtempSync(join(tmpdir(), "skein-web-"));
  const args = ["serve", "--json", "--data", data, "--http", "127.0.0.1:0", "--link", "127.0.0.1:0", "--ops", "127.0.0.1:0", ...more];
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
