// Everything wired together.

import { setUpCard } from "./card.js";
import { Live } from "./live.js";
import { onPhoto } from "./photo.js";
import { addImages, setUpImages } from "./images.js";
import { setUpTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { setUpUnlock } from "./unlock.js";
import { onImages } from "./upload.js";

const live = new Live();
const showPanel = setUpTabs((left) => { if (left === "live") live.stop(); });
const take = (files) => {
  showPanel("images");
  addImages(files);
};
setUpTheme();
setUpUnlock();
setUpCard();
setUpImages();
onImages(take);
onPhoto(take);
addEventListener("pagehide", () => live.stop());
