#pragma once
// What passes between the server and its OPC UA connector beside the values: questions and answers,
// and how the sources are. Any thread.

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/json.h"
#include "base/result.h"

namespace penstock::interop::opcua {

inline constexpr std::string_view kTopicRoot = "connectors/opcua/";
inline constexpr std::string_view kRequests = "connectors/opcua/requests";
inline constexpr std::string_view kConfiguration = "connectors/opcua/configuration";

class Link {
 public:
  /// Publishes to the connector; false: it is not connected.
  using Send = std::function<void(std::string_view topic, std::string payload)>;
  static constexpr size_t kWaitingMax = 64;

  explicit Link(Random& random) : random_(random) {}
  /// REQUIRES: before anything else.
  void set_send(Send send) { send_ = std::move(send); }

  /// Asks and waits for the answer. kTimeout where it does not come; the connector's own refusal is
  /// kUnavailable with its sentence.
  Result<Json> ask(std::string_view source, std::string_view operation, const Json& arguments,
                   Duration timeout);
  void on_response(std::string_view payload);
  /// A source that was connected and is not any more.
  struct Lost {
    uint32_t source = 0;
    Duration clock_offset;  ///< of its server's clock against ours
  };
  /// Keeps what the connector tells; gives the sources that it has lost since.
  std::vector<Lost> on_status(std::string_view payload, Timestamp now);
  /// The connector is gone: who waits is told `why`. Gives the sources that were connected.
  std::vector<Lost> disconnect(std::string_view why);

  /// Waits until it has told its status since the last disconnect().
  bool wait_until_heard(Duration timeout);
  [[nodiscard]] Json status(uint32_t source) const;  ///< null: none yet
  [[nodiscard]] Json overall() const;                ///< its newest status without the sources
  [[nodiscard]] Timestamp heard_at() const;

 private:
  struct Waiting {
    bool done = false;
    Json answer;
  };
  [[nodiscard]] std::vector<Lost> online() const;

  Random& random_;
  Send send_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Waiting, std::less<>> waiting_;
  std::map<uint32_t, Json> sources_;
  Json overall_;
  Timestamp heard_at_;
  bool heard_ = false;
};

}  // namespace penstock::interop::opcua
