# Makes a bash script of README.md's fenced blocks, in their order:
#   sh              run, line by line, as in one terminal; the first command that fails ends it
#   sh background   run in another terminal, until the end
#   output          these lines must be in what the block before has printed
#   cmake           put into the CMakeLists.txt of a program, which must build
# Others are not commands; `sh host` is for tests/packages. functions in readme-run.sh.
/^```/ && !kind {
  kind = substr($0, 4)
  if (kind == "sh background") print "in_background() {"
  else if (kind == "sh") print "at_line " NR
  else if (kind == "output") print "expect <<'END_OF_README'"
  else if (kind == "cmake") print "build_with_cmake <<'END_OF_README'"
  else if (kind == "") kind = "shown"
  next
}
/^```$/ {
  if (kind == "sh background") print "}\nrun_in_background"
  else if (kind == "output" || kind == "cmake") print "END_OF_README"
  kind = ""
  next
}
kind == "sh" || kind == "sh background" || kind == "output" || kind == "cmake"
END { print "finish" }
