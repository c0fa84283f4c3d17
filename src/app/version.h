#pragma once

namespace penstock::app {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace penstock::app
