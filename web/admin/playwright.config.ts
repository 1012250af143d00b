import { defineConfig } from "@playwright/test";

// The tests start a server of their own: SKEIN is the program.
export default defineConfig({
  testDir: "e2e",
  timeout: 60_000,
  workers: 1,
  outputDir: ".results",
  use: {
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox"],
    },
  },
});
