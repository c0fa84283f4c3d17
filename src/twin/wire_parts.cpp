#include "twin/wire_parts.h"

#include <charconv>

namespace penstock::twin {
namespace {

bool decode_part(std::string_view part, std::string& out) {
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '%') {
      out.push_back(part[i]);
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= part.size()) return false;
    const char* const digits = part.data() + i + 1;
    if (std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) return false;
    out.push_back(static_cast<char>(byte));
    i += 2;
  }
  return !out.empty() && out.find_first_of("/+#") == std::string::npos;
}

}  // namespace

std::vector<std::string> wire_parts(std::string_view device) {
  std::vector<std::string> parts;
  while (true) {
    const size_t colon = device.find(':');
    if (!decode_part(device.substr(0, colon), parts.emplace_back())) return {};
    if (colon == std::string_view::npos) return parts;
    device.remove_prefix(colon + 1);
  }
}

}  // namespace penstock::twin
