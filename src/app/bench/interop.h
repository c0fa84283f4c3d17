#pragma once
// `penstock bench interop`: what the doors for other makes cost, each part beside its peer.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace penstock::app {

struct InteropBenchOptions {
  std::string program;            ///< our own executable
  std::string node_modules;       ///< where the peers from npm are: tests/node_modules
  int rounds = 3;                 ///< runs of each measurement; the best counts, the peer's too
  std::vector<std::string> only;  ///< parts by name; empty: all
  bool quiet = false;             ///< no lines for people, only the JSON
};

/// One measurement. Its members join those of the others in one object, so names begin with the
/// part's.
struct InteropPart {
  std::string_view name;   ///< as --only says it
  std::string_view shows;  ///< a few words for --help
  Result<Json> (*run)(const InteropBenchOptions&);
};
std::span<const InteropPart> interop_parts();

/// All parts, or those of `only`, one after the other, merged. A part that fails leaves
/// "NAME_error" and the others go on. kInvalidArgument: a part that does not exist.
Result<Json> bench_interop(const InteropBenchOptions& options);

}  // namespace penstock::app
