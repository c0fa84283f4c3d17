#pragma once
// Canonical device names apart again.

#include <string>
#include <string_view>
#include <vector>

namespace penstock::twin {

/// The parts of a canonical device name as stream::wire_name writes it, "Plant:Edge%201:Pump";
/// empty where it is malformed, or a part cannot be a level of a topic (wildcards, '/').
std::vector<std::string> wire_parts(std::string_view device);

}  // namespace penstock::twin
