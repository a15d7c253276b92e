// What a page must keep, whatever it shows: returns a list of what is wrong with it.
const wrong = [];
const shown = (element) => element.getClientRects().length > 0 && getComputedStyle(element).visibility !== "hidden";
const name = (element) => `<${element.tagName.toLowerCase()} ${element.id || element.className}>`;

// Structure.
if (!document.documentElement.lang) wrong.push("the page has no language");
if (!document.title.trim()) wrong.push("the page has no title");
for (const landmark of ["header", "main", "footer"]) {
  if (document.querySelectorAll(`body > ${landmark}`).length !== 1) wrong.push(`not one ${landmark}`);
}
let level = 0;
for (const heading of document.querySelectorAll("h1,h2,h3,h4,h5,h6")) {
  const own = Number(heading.tagName[1]);
  if (own > level + 1) wrong.push(`heading ${heading.textContent} skips a level`);
  if (!heading.textContent.trim()) wrong.push("an empty heading");
  level = own;
}
if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
const ids = new Set();
for (const element of document.querySelectorAll("[id]")) {
  if (ids.has(element.id)) wrong.push(`the id ${element.id} comes twice`);
  ids.add(element.id);
}
for (const element of document.querySelectorAll("[aria-labelledby]")) {
  if (!document.getElementById(element.getAttribute("aria-labelledby"))) wrong.push(`${name(element)} is labelled by nothing`);
}
// Labels.
for (const field of document.querySelectorAll("input,select,textarea")) {
  const label = field.labels && field.labels[0];
  if (!label || !label.textContent.trim()) wrong.push(`${name(field)} has no label`);
}
for (const control of document.querySelectorAll("a,button")) {
  if (!control.textContent.trim() && !control.getAttribute("aria-label")) wrong.push(`${name(control)} has no text`);
}
for (const picture of document.querySelectorAll("svg,img")) {
  if (picture.closest("[aria-hidden=true]")) continue;
  if (picture.getAttribute("role") !== "img" || !picture.getAttribute("aria-label")) wrong.push(`${name(picture)} says nothing`);
}
for (const table of document.querySelectorAll("table")) {
  for (const head of table.querySelectorAll("th")) if (!head.scope) wrong.push("a head of a table without scope");
  if (!table.querySelector("thead th")) wrong.push("a table without heads");
}
for (const section of document.querySelectorAll("section,nav")) {
  if (!section.getAttribute("aria-label") && !section.getAttribute("aria-labelledby")) wrong.push(`${name(section)} has no name`);
}
if (document.querySelector("[tabindex]:not([tabindex='0']):not([tabindex='-1'])")) wrong.push("a tabindex above 0");

// Contrast (WCAG 2.2, 1.4.3).
const parse = (color) => (color.match(/[\d.]+/g) || []).map(Number);
const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
const luminance = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = parse(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let looked = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !shown(element) || element.closest(".hidden,title,option")) continue;
  const style = getComputedStyle(element);
  const [light, dark] = [luminance(parse(style.color)), luminance(ground(element))].sort((one, other) => other - one);
  const ratio = (light + 0.05) / (dark + 0.05);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  looked += 1;
  if (ratio < (isLarge ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)} of "${walker.currentNode.textContent.trim().slice(0, 40)}" in ${name(element)}`);
}
if (looked < 10) wrong.push(`only ${looked} texts were looked at`);
// Nothing is wider than the window.
if (document.documentElement.scrollWidth > window.innerWidth) wrong.push(`it is ${document.documentElement.scrollWidth} wide in a window of ${window.innerWidth}`);
// Targets of fingers (WCAG 2.2, 2.5.8), but for links within text.
for (const control of document.querySelectorAll("button,input,select")) {
  const box = control.getBoundingClientRect();
  if (shown(control) && box.height < 24) wrong.push(`${name(control)} is ${box.height} high`);
}
return wrong;
