#pragma once
// penstock opcua: OPC UA servers, their certificates and address space.

#include "app/cli/cli.h"

namespace penstock::app::cli {

void add_opcua(CLI::App& root);

}  // namespace penstock::app::cli
