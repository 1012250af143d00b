import { defineConfig } from "vite";

// One script and one style sheet with fixed names: the same sources make the
// same files, and the server's Content-Security-Policy allows nothing else.
export default defineConfig({
  base: "./",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    modulePreload: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: { entryFileNames: "app.js", assetFileNames: "[name][extname]" },
    },
  },
});
