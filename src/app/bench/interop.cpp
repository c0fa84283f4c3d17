#include "app/bench/interop.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/bench/interop_dtdl.h"
#include "app/bench/interop_lwm2m.h"
#include "app/bench/interop_opcua.h"
#include "app/bench/interop_sparkplug.h"

namespace penstock::app {
namespace {

// A further part is a file of its own (interop_NAME.h, .cpp) and a row here.
constexpr InteropPart kParts[] = {
    {"dtdl", "parse and check 1,000 interfaces, beside DTDLParser", bench_interop_dtdl},
    {"lwm2m", "notifications and 20,000 clients, beside libcoap's server", bench_interop_lwm2m},
    {"opcua", "10,000 items at 1 Hz into history, beside node-opcua alone", bench_interop_opcua},
    {"sparkplug", "read Sparkplug payloads, beside sparkplug-payload", bench_interop_sparkplug},
};

std::string names() {
  std::string all;
  for (const InteropPart& part : kParts)
    all += fmt::format("{}{}", all.empty() ? "" : ", ", part.name);
  return all;
}

}  // namespace

std::span<const InteropPart> interop_parts() { return kParts; }

Result<Json> bench_interop(const InteropBenchOptions& options) {
  for (const std::string& wanted : options.only)
    if (std::none_of(std::begin(kParts), std::end(kParts),
                     [&](const InteropPart& part) { return part.name == wanted; }))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("There is no such part: take one of {}", names()), wanted);
  Json merged = Json::object();
  for (const InteropPart& part : kParts) {
    if (!options.only.empty() &&
        std::find(options.only.begin(), options.only.end(), part.name) == options.only.end())
      continue;
    if (!options.quiet) fmt::print("== {}: {}\n", part.name, part.shows);
    const Result<Json> measured = part.run(options);
    if (!measured) {
      merged[fmt::format("{}_error", part.name)] = measured.error().text();
      continue;
    }
    if (!options.quiet)
      for (const auto& [key, value] : measured->items())
        fmt::print("{:32} {}\n", key, value.dump());
    merged.update(*measured);
  }
  return merged;
}

}  // namespace penstock::app
