# Makes man(7) of kfast.h: its head becomes the description, each `---- name ----` a section, and each comment an entry
# under what it documents. `-v errors=1` prints the error codes only, and without it everything else is printed.
function roff(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  gsub(/'/, "\\(aq", text)
  gsub(/"/, "\\(dq", text)
  while (match(text, /`[^`]+`/)) {
    text = substr(text, 1, RSTART - 1) "\\fI" substr(text, RSTART + 1, RLENGTH - 2) "\\fP" substr(text, RSTART + RLENGTH)
  }
  gsub(/kfast_[a-z_]*[a-z]/, "\\fB\\%&\\fP", text)  # and no hyphen in it
  gsub(/_?[A-Z]+_[A-Z_]+/, "\\%&", text)
  gsub(/\\fI\\fB/, "\\fB", text)
  sub(/^\./, "\\\\\\&.", text)
  return text
}
# A comment's lines: paragraphs; examples, which are indented by four or more; and lists, which are so, too, and have a
# name and its meaning in two columns.
function print_text(lines, count,    i, example, gap, name) {
  example = gap = 0
  for (i = 1; i <= count; i++) {
    if (lines[i] ~ /^ *$/) { gap = 1; continue }
    if (!example && lines[i] ~ /^    [a-z.]+   *[^ ]/) {
      for (; lines[i] ~ /^    /; i++) {
        name = lines[i]
        if (sub(/^    [a-z.]+   */, "", lines[i])) {
          sub(/^    /, "", name)
          sub(/ .*/, "", name)
          print ".TP\n.B " name
        }
        sub(/^ +/, "", lines[i])
        print roff(lines[i])
      }
      gap = 1
      if (i > count || lines[i] ~ /^ *$/) continue
    }
    if ((lines[i] ~ /^    /) != example) {
      if (example) print ".EE\n.RE\n.PP"; else print ".PP\n.RS 4\n.EX"
      example = !example
    } else if (gap) print example ? "" : ".PP"
    print roff(example ? substr(lines[i], 5) : lines[i])
    gap = 0
  }
  if (example) print ".EE\n.RE"
}
# In one line of the header's, folded at 72 columns behind commas.
function print_function(text,    part, count, i, line) {
  sub(/^KFAST_API /, "", text)
  gsub(/  +/, " ", text)
  count = split(text, part, /, /)
  line = part[1]
  print ".EX"
  for (i = 2; i <= count; i++) {
    if (length(line) + length(part[i]) > 70) { print "\\fB" roff_code(line) ",\\fP"; line = "    " part[i] }
    else line = line ", " part[i]
  }
  print "\\fB" roff_code(line) "\\fP\n.EE\n.PP"
}
function roff_code(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  return text
}
# `name = value, /**< meaning */` and `type name; /**< meaning */`, one a line; a meaning may go on below.
function print_members(    i, line, what, meaning) {
  for (i = 2; i < declared; i++) {
    line = declaration[i]
    while (line ~ /\/\*\*</ && line !~ /\*\// && i < declared) {
      i++
      sub(/^ +/, " ", declaration[i])
      line = line declaration[i]
    }
    what = line
    sub(/ *\/\*\*<.*/, "", what)
    gsub(/^ +|,$/, "", what)
    meaning = ""
    if (match(line, /\/\*\*< .* \*\//)) meaning = substr(line, RSTART + 5, RLENGTH - 8)
    print ".TP\n.B " roff_code(what) "\n" (meaning == "" ? "No error." : roff(meaning))
  }
}
function print_entry(    name, i, text) {
  if (!is_errors != !errors) return
  text = declaration[1]
  for (i = 2; i <= declared; i++) { sub(/^ +/, " ", declaration[i]); if (text ~ /^KFAST_API/) text = text declaration[i] }
  name = text
  if (text ~ /^KFAST_API/) { sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
  else if (text ~ /^#define/) { sub(/^#define +/, "", name); sub(/[ (].*/, "", name) }
  else if (text ~ /^enum/) { sub(/ *\{.*/, "", name) }
  else { name = declaration[declared]; sub(/;.*/, "", name); sub(/.*[ }]/, "", name) }
  if (!errors) print ".SS " name
  if (text ~ /^KFAST_API/) print_function(text)
  else if (text ~ /^#define/ && declared == 1) { sub(/^#define +/, "", text); print ".B " roff_code(text) "\n.PP" }
  print_text(comment, commented)
  if (text ~ /\{$/ && text !~ /^#define/) print_members()
}
/^\/\* ---- / {
  if (errors) next
  name = $0
  gsub(/^\/\* -+ | -+ \*\/$/, "", name)
  print ".SH " toupper(name)
  next
}
!reading && /^\/\*\*/ {
  reading = 1
  commented = 0
  sub(/^\/\*\*/, "")
}
reading == 1 {
  ends = /\*\//
  sub(/ *\*\/.*/, "")
  sub(/^ ?\* ?/, "")
  if (commented == 0) sub(/^ +/, "")
  if ($0 != "" || commented > 0) comment[++commented] = $0
  if (ends) { reading = 2; declared = 0 }
  if (ends && comment[1] == "@file") {
    reading = 0
    if (errors) next
    delete comment[1]
    comment[1] = ""
    print_text(comment, commented)
  }
  next
}
reading == 2 && /^#if/ { reading = 0; next }  # what the compiler is told, and nobody else
reading == 2 {
  declaration[++declared] = $0
  if ($0 ~ /^#define.*[^\\]$/ || $0 ~ /;$/ && (declaration[1] !~ /\{$/ || $0 ~ /^\}/) || $0 ~ /^  \{.*\}$/) {
    is_errors = declaration[1] ~ /^enum kfast_error /
    print_entry()
    reading = 0
  }
}
