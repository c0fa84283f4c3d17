#pragma once
// Live values for whoever watches: tails the journal while somebody does, and not otherwise.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "api/access/permissions.h"
#include "api/http/websocket.h"
#include "api/ports.h"
#include "api/services.h"
#include "base/json.h"
#include "stream/journal.h"
#include "stream/sample.h"

namespace penstock::api {

struct LiveLimits {
  Duration update_interval = Duration::millis(250);  ///< at most one update a twin in it
  Duration heartbeat_interval = Duration::seconds(5);
  Duration overview_interval = Duration::seconds(2);
  size_t twins_max = 2000;   ///< a client may watch, by name and by site together
  size_t events_max = 1000;  ///< alarms that may wait for a slow client; then it is closed (4008)
  Duration slow_max = Duration::seconds(30);  ///< with values waiting and none taken: closed (4008)
};

class LiveClient;

/// Thread-safe. One thread of its own, which sleeps while nobody watches.
class LiveHub {
 public:
  /// REQUIRES: what `services` refers to, and `journal`, outlive it.
  LiveHub(const Services& services, stream::Journal& journal, LiveLimits limits);
  ~LiveHub();
  LiveHub(const LiveHub&) = delete;
  LiveHub& operator=(const LiveHub&) = delete;

  /// A session for a client that was let in. `still_valid` is asked now and then; false closes it
  /// (4001).
  std::shared_ptr<WebSocketSession> open_session(access::Principal principal,
                                                 std::function<bool()> still_valid);
  /// An alarm changed: those who watch alarms and see its site are told. Any thread.
  void alarm_changed(const AlarmItem& alarm);
  [[nodiscard]] size_t clients() const;

 private:
  friend class LiveClient;
  void run();
  void tail();
  bool interesting(SeriesId series, const std::vector<std::shared_ptr<LiveClient>>& clients);
  void apply(const stream::SampleView& view);
  void tick(int64_t now_us);
  void publish_presence();
  void publish_overviews();
  void left(const LiveClient* client);
  void joined(const std::shared_ptr<LiveClient>& client);
  void subscriptions_changed();
  [[nodiscard]] std::vector<std::shared_ptr<LiveClient>> all() const;

  Services services_;
  stream::Journal& journal_;
  const LiveLimits limits_;
  mutable std::mutex mutex_;
  std::condition_variable awake_;
  std::vector<std::shared_ptr<LiveClient>> clients_;  ///< shared: the server holds them as sessions
  bool stopping_ = false;
  std::atomic<uint64_t> subscriptions_{1};  ///< counts changes of what is watched

  // -- the hub's thread only
  enum class Interest : uint8_t { kUnknown, kNone, kWatched };
  std::vector<Interest> interest_;  ///< by series, as of subscriptions_ == interest_of_
  uint64_t interest_of_ = 0;
  std::unique_ptr<stream::Journal::Reader> reader_;
  std::vector<stream::Sample> unpacked_;  // of the record being read
  stream::JournalOffset position_ = 0;
  int64_t next_update_us_ = 0, next_heartbeat_us_ = 0, next_overview_us_ = 0;
  std::unordered_map<uint32_t, std::pair<bool, bool>> presence_;  ///< twin -> online, stale
  std::thread thread_;
};

}  // namespace penstock::api
