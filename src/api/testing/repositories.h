#pragma once
// A device-model repository in memory.

#include <map>

#include "api/model_repositories.h"

namespace penstock::api::testing {

class MemoryRepositories final : public ModelRepositories {
 public:
  std::map<std::string, std::string> files;  ///< by path; of the one repository, "memory"

  [[nodiscard]] std::vector<ModelRepositoryInfo> all() const override {
    return {{"memory", "nowhere"}};
  }
  Result<twin::FetchedModels> fetch(std::string_view name,
                                    std::span<const std::string> dtmis) override {
    if (name != "memory")
      return fail(ErrorCode::kPermissionDenied, "Not of the configuration", std::string(name));
    return twin::fetch_models(
        dtmis,
        [&](const std::string& path, size_t, int64_t) -> Result<std::optional<std::string>> {
          const auto found = files.find(path);
          if (found == files.end()) return std::nullopt;
          return found->second;
        },
        system_clock());
  }
};

}  // namespace penstock::api::testing
