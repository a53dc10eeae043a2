// Entry point: sets up all parts of the page.

import { byId } from "./dom.js";
import { Images } from "./images.js";
import { setUpKeyDialog } from "./keydialog.js";
import { setUpLanguage } from "./language.js";
import { setUpPhotoDialog } from "./photo.js";
import { setUpSamples } from "./sample.js";
import { setUpTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { setUpUpload } from "./upload.js";
import { preferredLanguage, useLanguage } from "./words.js";
import { setUpZoom } from "./zoom.js";

await useLanguage(preferredLanguage(), false);

// Panels that are loaded when they are opened for the first time; each can `stop`.
const loaders = {
  live: async () => new (await import("./live.js")).Live(),
  videos: async () => new (await import("./clip.js")).Clip(),
};
const panels = {};
const stop = (id) => panels[id]?.then((panel) => panel.stop());
const showPanel = setUpTabs({ onenter: (id) => { panels[id] ??= loaders[id]?.(); }, onleave: stop });
const openVideo = async (file) => {
  showPanel("videos");
  (await panels.videos).open(file);
};
const images = new Images(openVideo);
const onFiles = (files) => {
  if (!byId("videos").hidden) {
    openVideo(files[0]);
    return;
  }
  showPanel("images");
  images.add(files);
};
setUpLanguage();
setUpTheme();
setUpKeyDialog();
setUpZoom();
setUpUpload(onFiles);
setUpSamples(onFiles);
setUpPhotoDialog(onFiles);
byId("open-card").addEventListener("click", async () => (await import("./card.js")).showModelCard());
addEventListener("pagehide", () => stop("live"));
