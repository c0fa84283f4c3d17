#pragma once
// Device-model repositories: folders or web sites laid out by the convention of IoT Plug and Play
// ("dtmi:com:example:Thermostat;1" is dtmi/com/example/thermostat-1.json). No I/O: files come from
// the caller's `fetch`.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/result.h"
#include "twin/models.h"

namespace penstock::twin {

/// Where the interface stands below the repository's root. kInvalidArgument: no DTMI with a
/// version.
Result<std::string> repository_path(std::string_view dtmi, bool expanded = false);

struct RepositoryLimits {
  size_t files_max = 500;
  size_t file_bytes_max = 2U << 20;
  size_t bytes_max = 16U << 20;  ///< of all files
  int64_t time_ms_max = 30'000;
};

/// One file's text, nothing where there is no such file. `time_ms_max`: what is left for it.
using FetchFile = std::function<Result<std::optional<std::string>>(
    const std::string& path, size_t bytes_max, int64_t time_ms_max)>;

struct FetchedModels {
  std::vector<ModelDocument> documents;  ///< those asked for, and all they refer to; each once
  std::vector<std::string> files;        ///< that were read, in order
};

/// Reads interfaces and everything they extend or contain. Where metadata.json says that the
/// repository has expanded files, these are tried first. kNotFound: a file is missing; the error
/// names it; kResourceExhausted, kTimeout: a limit.
Result<FetchedModels> fetch_models(std::span<const std::string> dtmis, const FetchFile& fetch,
                                   Clock& clock, const RepositoryLimits& limits = {});

}  // namespace penstock::twin
