#pragma once
// The twin room's tables (docs/registry.md shows them as a picture).

#include <span>

#include "store/registry.h"

namespace penstock::twin {

std::span<const store::Migration> migrations();

}  // namespace penstock::twin
