// Entry point: sets up all parts of the page.

import { addImages, setUpImages } from "./images.js";
import { setUpKeyDialog } from "./keydialog.js";
import { Live } from "./live.js";
import { setUpModelCard } from "./card.js";
import { setUpPhotoDialog } from "./photo.js";
import { setUpTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { setUpUpload } from "./upload.js";

const live = new Live();
const showPanel = setUpTabs((left) => { if (left === "live") live.stop(); });
const onFiles = (files) => {
  showPanel("images");
  addImages(files);
};
setUpTheme();
setUpKeyDialog();
setUpModelCard();
setUpImages();
setUpUpload(onFiles);
setUpPhotoDialog(onFiles);
addEventListener("pagehide", () => live.stop());
