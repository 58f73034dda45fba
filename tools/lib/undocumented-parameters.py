"""Says which parameters of a C header's functions their comments do not name (in backticks), nor the
comment at the file's head. doxygen finds these only where every one has an entry of its own, which
would make the header hard to read.
"""

import re
import sys
from pathlib import Path

header = Path(sys.argv[1]).read_text()
COMMENT = r"/\*\*((?:(?!\*/).)*)\*/"


def named(comment: str) -> set:
    return {word for code in re.findall("`([^`]+)`", comment) for word in re.findall(r"\w+", code)}


everywhere = named(re.match(COMMENT, header, re.DOTALL)[1])
functions = re.findall(COMMENT + r"\s*KFAST_API [^;(]*?(\w+)\(([^;]*)\);", header, re.DOTALL)
undocumented = [
    f"{sys.argv[1]}: {function}: `{parameter}` is not documented"
    for comment, function, parameters in functions
    for parameter in re.findall(r"(\w+)(?:,|$)", parameters)
    if parameter != "void" and parameter not in everywhere | named(comment)
]
# A function that was not seen is not checked.
if len(functions) != len(re.findall(r"^KFAST_API ", header, re.MULTILINE)):
    undocumented.append(f"{sys.argv[1]}: a function has no comment right before it")
print(*undocumented, sep="\n")
sys.exit(bool(undocumented))
