#pragma once
// How the installation is: what /api/v1/health, the page's banner and doctor show.

#include <functional>
#include <string>
#include <vector>

#include "base/io.h"
#include "interop/mqtt/bridges.h"
#include "stream/history.h"
#include "stream/pipeline.h"
#include "stream/views.h"

namespace penstock::app {

/// Any thread.
class SystemHealth final : public stream::HealthSource {
 public:
  SystemHealth(stream::Pipeline& pipeline, stream::HistoryStore& history,
               const interop::mqtt::BridgeBoard& bridges, FileSystem& files,
               std::string data_directory)
      : pipeline_(pipeline),
        history_(history),
        bridges_(bridges),
        files_(files),
        data_directory_(std::move(data_directory)) {}
  /// A further check. Before anybody asks; `check` is called on any thread.
  void also(std::function<stream::HealthCheck()> check) { more_.push_back(std::move(check)); }
  std::vector<stream::HealthCheck> health() override;

 private:
  stream::Pipeline& pipeline_;
  stream::HistoryStore& history_;
  const interop::mqtt::BridgeBoard& bridges_;
  FileSystem& files_;
  std::string data_directory_;
  std::vector<std::function<stream::HealthCheck()>> more_;
};

}  // namespace penstock::app
