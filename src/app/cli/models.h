#pragma once
// The files that together are `penstock model`.

#include "app/cli/cli.h"

namespace penstock::app::cli {

void add_model_graph(CLI::App& model);
void add_model_exchange(CLI::App& model);  ///< import, export, convert

}  // namespace penstock::app::cli
