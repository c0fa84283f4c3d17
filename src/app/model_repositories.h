#pragma once
// The device-model repositories of the configuration, for the API.

#include <map>

#include "api/model_repositories.h"
#include "base/io.h"

namespace penstock::app {

class ConfiguredRepositories final : public api::ModelRepositories {
 public:
  /// Each "NAME=LOCATION" (LOCATION: folder, http:// or https://), or a location alone, which is
  /// its own name. kInvalidArgument, kNotFound: what is wrong with one of them.
  static Result<std::unique_ptr<ConfiguredRepositories>> create(
      const std::vector<std::string>& configured, Clock& clock);

  [[nodiscard]] std::vector<api::ModelRepositoryInfo> all() const override;
  Result<twin::FetchedModels> fetch(std::string_view name,
                                    std::span<const std::string> dtmis) override;

 private:
  explicit ConfiguredRepositories(Clock& clock) : clock_(clock) {}
  struct Repository {
    std::string location;
    twin::FetchFile files;
  };
  Clock& clock_;
  std::map<std::string, Repository, std::less<>> repositories_;
};

}  // namespace penstock::app
