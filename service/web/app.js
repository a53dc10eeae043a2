// Everything wired together.

import { setUpCard } from "./card.js";
import { Live } from "./live.js";
import { onPhoto } from "./photo.js";
import { addPictures, setUpPictures } from "./pictures.js";
import { setUpTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { setUpUnlock } from "./unlock.js";
import { onPictures } from "./upload.js";

const live = new Live();
const showPanel = setUpTabs((left) => { if (left === "live") live.stop(); });
const take = (files) => {
  showPanel("pictures");
  addPictures(files);
};
setUpTheme();
setUpUnlock();
setUpCard();
setUpPictures();
onPictures(take);
onPhoto(take);
addEventListener("pagehide", () => live.stop());
