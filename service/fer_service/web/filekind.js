// What a file is, by its first bytes: names and types of files are often wrong.

const READABLE = ["jpeg", "png", "webp", "gif", "bmp", "tiff", "avif"];
// Kind, and what the text of the first bytes (Latin-1) begins with.
const SIGNATURES = [
  ["pdf", /^%PDF-/],
  ["heic", /^....ftyp(hei|hev|mif1|msf1)/s],
  ["avif", /^....ftypavi/s],
  ["raw", /^(....ftypcrx |FUJIFILMCCD-RAW|IIU\0|IIR[OS]|MMOR|FOVb|\0MRM)/s],
  ["format", /^(....ftypjp[2xm] |\xff\x0a|\0\0\0\x0cJXL |\0\0\0\x0cjP  |\xff\x4f\xff\x51|8BPS|gimp xcf|\0\0[\x01\x02\x0a]\0|icns|qoif|DDS |v\/1\x01|#\?R|P[1-7Ff]\s|II\xbc|BPG\xfb|SIMPLE  =|.{128}DICM|\x8a?MNG)/s],
  ["sound", /^(....ftypM4[AB]|RIFF....WAVE|fLaC|ID3|\xff[\xf1-\xfb](?!\xff))/s],
  ["video", /^(....(ftyp|moov|mdat|wide|free|skip|moof)|RIFF....AVI |\x1aE\xdf\xa3|\0\0\x01[\xba\xb3]|FLV\x01|0&\xb2u|G.{187}G.{187}G|OggS)/s],
  ["jpeg", /^\xff\xd8\xff/], ["png", /^\x89PNG/], ["webp", /^RIFF....WEBP/s], ["gif", /^GIF8/], ["bmp", /^BM/],
  ["tiff", /^(II[*+]\0|MM\0[*+])/],
  ["archive", /^(PK[\x03\x05]|7z\xbc\xaf|Rar!|\x1f\x8b|\x28\xb5\x2f\xfd|\xfd7zXZ|BZh|\xd0\xcf\x11\xe0|\{\\rtf|.{257}ustar)/s],
  ["format", /^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg|<svg)/s],
];
// Cameras write raw files as TIFF.
const RAW_NAME = /\.(dng|cr2|nef|arw|orf|rw2|pef|srw)$/i;

/** The kind of a file: "empty", "video", "pdf", …, "damaged" for an image whose bytes are wrong, or "unknown". */
export async function kindOf(file) {
  if (!file.size) return "empty";
  const bytes = new Uint8Array(await file.slice(0, 1024).arrayBuffer());
  const begin = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const kind = SIGNATURES.find(([, signature]) => signature.test(begin))?.[0];
  if (kind === "tiff" && RAW_NAME.test(file.name)) return "raw";
  if (kind) return READABLE.includes(kind) ? "damaged" : kind;
  if (/^(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[^\0-\x08\x0e-\x1a\x1c-\x1f]*$/.test(begin)) return "text";
  return file.type.startsWith("video/") ? "video" : "unknown";
}
