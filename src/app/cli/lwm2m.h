#pragma once
// penstock lwm2m.

#include "app/cli/cli.h"

namespace penstock::app::cli {

void add_lwm2m(CLI::App& root);

}  // namespace penstock::app::cli
