// Entry point: sets up all parts of the page.

import { byId, icon } from "./dom.js";
import { Images } from "./images.js";
import { setUpKeyDialog } from "./keydialog.js";
import { setUpLanguage } from "./language.js";
import { setUpPhotoDialog } from "./photo.js";
import { setUpSamples } from "./sample.js";
import { setUpTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { setUpUpload } from "./upload.js";
import { preferredLanguage, t, useLanguage } from "./words.js";

for (const element of document.querySelectorAll("[data-icon]")) element.prepend(icon(element.dataset.icon));

// Panels that are loaded when they are opened for the first time.
const loaders = {
  live: async () => new (await import("./live.js")).Live(),
  videos: async () => new (await import("./clip.js")).Clip(),
};
const panels = {};
const leave = (id) => panels[id]?.then((panel) => panel?.stop());
const showPanel = setUpTabs({ onenter: load, onleave: leave });
const images = new Images(openVideo);

/** The panel, or nothing if its module cannot be loaded. */
function load(id) {
  panels[id] ??= loaders[id]?.().catch(() => {
    byId("page-error").textContent = t("error_unreachable");
    byId("page-error").hidden = false;
  });
  return panels[id];
}

async function openVideo(file, others = 0) {
  showPanel("videos");
  (await load("videos"))?.open(file, others);
}

function onFiles(files) {
  if (!byId("videos").hidden) {
    openVideo(files[0], files.length - 1);
    return;
  }
  showPanel("images");
  images.add(files);
}

setUpLanguage();
setUpTheme();
setUpKeyDialog();
setUpUpload(onFiles);
setUpSamples(onFiles);
setUpPhotoDialog(onFiles);
byId("start").addEventListener("click", async () => (await load("live"))?.start());
byId("open-card").addEventListener("click", async () => (await import("./card.js")).showModelCard());
addEventListener("pagehide", () => leave("live"));
await useLanguage(preferredLanguage(), false);
