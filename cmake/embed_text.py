#!/usr/bin/env python3
"""embed_text.py INPUT OUTPUT NAMESPACE::FUNCTION: a .cpp whose function returns the file as a string_view."""
import pathlib
import sys

source, target, symbol = sys.argv[1:4]
namespace, function = symbol.rsplit("::", 1)
data = pathlib.Path(source).read_bytes()
rows = [", ".join(str(b) for b in data[i : i + 32]) for i in range(0, len(data), 32)]
pathlib.Path(target).write_text(
    "#include <string_view>\n"
    f"namespace {namespace} {{\n"
    "static constexpr unsigned char kBytes[] = {\n" + ",\n".join(rows) + "};\n"
    f"std::string_view {function}();\n"
    f"std::string_view {function}() {{ return {{reinterpret_cast<const char*>(kBytes), sizeof kBytes}}; }}\n"
    f"}}  // namespace {namespace}\n"
)
