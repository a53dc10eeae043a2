// Places for the labels of boxes: no two labels overlap, and none leaves the image.

const GAP = 3; // pixels between a label and its box
const MAX_COVERED = 0.2; // share of a face that a long label may hide

/**
 * Place labels in the order of their importance.
 * @param items `{ box, sizes, whole }`: a box, the sizes of the variants of its label, the longest first, and whether the
 *   longest is wanted whatever it hides
 * @param area `{ width, height }` of the image, in the same pixels
 * @returns for each item `{ x, y, width, height, variant }`, or null if no variant fits anywhere
 */
export function placeLabels(items, area) {
  const placed = [];
  return items.map(({ box, sizes, whole }) => {
    for (const [variant, size] of sizes.entries()) {
      const limit = whole || variant === sizes.length - 1 ? Infinity : MAX_COVERED;
      const best = spots(box, size, area)
        .filter((spot) => isInside(spot, area) && !placed.some((label) => overlap(spot, label) > 0))
        .map((spot) => ({ spot, covered: Math.max(...items.map((item) => hidden(spot, item.box))) }))
        .filter(({ covered }) => covered <= limit)
        .sort((a, b) => a.covered - b.covered)[0];
      if (!best) continue;
      placed.push(best.spot);
      return { ...best.spot, variant };
    }
    return null;
  });
}

/** The area that two rectangles share. */
export function overlap(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return Math.max(width, 0) * Math.max(height, 0);
}

/** The share of a box that lies below a label. */
const hidden = (spot, box) => overlap(spot, box) / Math.max(box.width * box.height, 1);

const isInside = (spot, area) => spot.x >= 0 && spot.y >= 0 && spot.x + spot.width <= area.width && spot.y + spot.height <= area.height;

/** Above and below the box, inside it, beside it; from left to right as far as the image goes. */
function spots(box, { width, height }, area) {
  const right = box.x + box.width, bottom = box.y + box.height;
  const within = (x) => Math.max(Math.min(x, area.width - width), 0);
  const columns = [within(box.x), within(right - width)];
  const rows = [box.y - height - GAP, bottom + GAP, box.y + GAP, bottom - height - GAP];
  const beside = [box.x - width - GAP, right + GAP].map((x) => ({ x, y: Math.max(box.y, 0) }));
  return [...rows.flatMap((y) => columns.map((x) => ({ x, y }))), ...beside].map((spot) => ({ ...spot, width, height }));
}
