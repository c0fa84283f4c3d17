#pragma once
// penstock sparkplug.

#include <CLI/CLI.hpp>

namespace penstock::app::cli {

void add_sparkplug(CLI::App& root);

}  // namespace penstock::app::cli
