// Export of results to files and to the clipboard.

const COLUMNS = ["image", "face", "x", "y", "width", "height", "score", "emotion", "confidence", "uncertain", "reasons"];
const FORMULA = /^\s*[=+\-@＝＋－＠]|^[\t\r\n]/;
const NUMBER = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;

/** One prediction as JSON, or several as POST /predict/batch returns them. */
export function toJson(entries) {
  const [first] = entries;
  const content = entries.length === 1 ? first.prediction : { results: entries.map(({ name, prediction }) => ({ name, ...prediction })) };
  return JSON.stringify(content, null, 2);
}

/** CSV with one row per face. */
export function toCsv(entries) {
  return table(COLUMNS, entries.flatMap(({ name, prediction }) =>
    prediction.faces.map((face) => ({
      values: [
        name, face.face, face.box.x, face.box.y, face.box.width, face.box.height, face.score ?? "",
        face.emotion, face.confidence, face.uncertain, face.reasons?.join("; ") ?? "",
      ],
      probabilities: face.probabilities,
    })),
  ));
}

/** CSV of rows with values of these columns, and one column per label; the names of all columns differ. */
export function table(columns, rows) {
  const labels = [...new Set(rows.flatMap((row) => Object.keys(row.probabilities)))];
  const header = [...columns];
  for (let name of labels) {
    while (header.includes(name)) name = `label_${name}`;
    header.push(name);
  }
  const cells = rows.map(({ values, probabilities }) => [...values, ...labels.map((label) => probabilities[label] ?? "")]);
  return [header, ...cells].map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** A cell, with an apostrophe before a text that a spreadsheet would take for a formula (OWASP, CSV injection). */
function cell(value) {
  const formula = typeof value === "string" && FORMULA.test(value) && !NUMBER.test(value);
  const text = `${formula ? "'" : ""}${value}`;
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Download a text or a blob as a file. */
export function save(content, name, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // some browsers read the blob later
}

/** Copy a text to the clipboard; without HTTPS only `execCommand` works. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser does not allow access to the clipboard");
}

/** "photo.jpg" → "photo". */
export const stem = (name) => name.replace(/\.[^.]*$/, "") || "image";
