# Makes man(7) of the Markdown that `kfastd --print-config-reference` prints: headings, paragraphs and tables. A table's
# row becomes an entry under its first cell; the other cells follow with their columns' names.
function roff(text) {
  gsub(/\\\|/, "|", text)
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  gsub(/'/, "\\(aq", text)
  while (match(text, /`[^`]+`/)) {
    text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fP" substr(text, RSTART + RLENGTH)
  }
  gsub(/\*\*/, "", text)
  sub(/^\./, "\\\\\\&.", text)
  return text
}
# cells of a row, into `cell`; pipes that are escaped stay.
function split_row(line) {
  gsub(/\\\|/, "\001", line)
  sub(/^\| */, "", line)
  sub(/ *\|$/, "", line)
  count = split(line, cell, / *\| */)
  for (i = 1; i <= count; i++) gsub(/\001/, "|", cell[i])
}
/^# / { next }  # the page's own title
/^## / { print ".SH " roff(substr($0, 4)); in_table = 0; next }
/^### / { print ".SS " roff(substr($0, 5)); in_table = 0; next }
/^\|[-|]+\|$/ { next }
/^\|/ {
  split_row($0)
  if (!in_table) {
    for (i = 1; i <= count; i++) column[i] = cell[i]
    in_table = 1
    next
  }
  print ".TP\n\\fB" roff(cell[1]) "\\fP"
  for (i = 2; i <= count; i++) {
    if (column[i] == "meaning" || column[i] == "why" || column[i] == "consequence") print roff(cell[i]) "\n.br"
    else print roff(column[i]) ": " roff(cell[i]) "\n.br"
  }
  next
}
/^$/ { print ".PP"; in_table = 0; next }
{ print roff($0) }
