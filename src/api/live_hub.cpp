#include "api/live_hub.h"

#include <algorithm>
#include <deque>
#include <map>

#include "api/alarms.h"
#include "api/http/arguments.h"
#include "api/overview.h"
#include "api/render.h"
#include "base/log.h"
#include "stream/records.h"
#include "stream/views.h"

namespace penstock::api {
namespace {

constexpr uint16_t kSignedOut = 4001, kTooSlow = 4008;
constexpr uint64_t kBehindBytesMax = 32ULL << 20;
constexpr uint32_t kSeriesRemembered = 16U << 20;

Json live_value_json(const stream::LiveValue& value) {
  return {{"v", value_json(value)},
          {"q", twin::name(value.sample.quality)},
          {"t", value.sample.source_time.us / 1000}};
}

}  // namespace

/// One client. What waits for it is bounded: of each element the newest value, and `events_max`
/// events. The network asks for messages, the hub's thread brings values: a mutex stands between.
class LiveClient : public WebSocketSession, public std::enable_shared_from_this<LiveClient> {
 public:
  LiveClient(LiveHub& hub, access::Principal principal, std::function<bool()> still_valid)
      : hub_(hub), principal_(std::move(principal)), still_valid_(std::move(still_valid)) {}

  void on_open(std::shared_ptr<WebSocketConnection> connection) override {
    {
      const std::lock_guard lock(mutex_);
      connection_ = std::move(connection);
    }
    hub_.joined(shared_from_this());
  }

  void on_message(std::string_view text) override {
    const auto outcome = subscribe(text);
    if (!outcome)
      push_event({{"type", "error"},
                  {"code", name(outcome.error().code)},
                  {"detail", to_valid_utf8(outcome.error().text())}});
    wake();
  }

  std::optional<std::string> next_message() override {
    const std::lock_guard lock(mutex_);
    taken_us_ = hub_.services_.clock.monotonic_us();
    if (!events_.empty()) {
      std::string event = std::move(events_.front());
      events_.pop_front();
      return event;
    }
    if (!latest_.empty()) return std::move(latest_.extract(latest_.begin()).mapped());
    if (ready_.empty()) return std::nullopt;
    auto node = ready_.extract(ready_.begin());
    return values_message(node.key(), node.mapped());
  }

  void on_close() override {
    {
      const std::lock_guard lock(mutex_);
      connection_.reset();
    }
    hub_.left(this);
  }

  // -- the hub's thread

  /// A sample of a twin it may watch; kept if it does.
  void offer(const twin::SeriesInfo& series, const stream::Sample& sample, std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (!watches(series.twin, series.site)) return;
    auto& value = pending_[series.twin.value][series.element];
    if (value.sample.source_time > sample.source_time) return;  // late data is history's business
    value.sample = sample;
    value.text.assign(text);
  }

  /// Every update_interval: what came since becomes ready to be taken, over what was not taken yet.
  void release(int64_t now_us) {
    bool slow = false, something = false;
    {
      const std::lock_guard lock(mutex_);
      slow = something_waits() && taken_us_ != 0 && now_us - taken_us_ > hub_.limits_.slow_max.us;
      for (auto& [twin, values] : pending_)
        for (auto& [element, value] : values) ready_[twin][element] = std::move(value);
      pending_.clear();
      something = something_waits();
    }
    if (slow) return close(kTooSlow, "too slow: nothing was taken for a while");
    if (something) wake();
  }

  void push_event(const Json& event) {
    bool overflow = false;
    {
      const std::lock_guard lock(mutex_);
      overflow = events_.size() >= hub_.limits_.events_max;
      if (!overflow) events_.push_back(event.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    if (overflow) close(kTooSlow, "too slow: too many events are waiting");
  }

  /// What only the newest matters of: it replaces the one of the same key that still waits.
  void push_latest(const std::string& key, const Json& event) {
    {
      const std::lock_guard lock(mutex_);
      latest_[key] = event.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    wake();
  }

  void wake() {
    std::shared_ptr<WebSocketConnection> connection;
    {
      const std::lock_guard lock(mutex_);
      connection = connection_;
    }
    if (connection) connection->wake();
  }

  void close(uint16_t code, std::string reason) {
    std::shared_ptr<WebSocketConnection> connection;
    {
      const std::lock_guard lock(mutex_);
      connection = connection_;
    }
    if (connection) connection->close(code, std::move(reason));
  }

  void check_still_valid() {
    if (!still_valid_()) close(kSignedOut, "signed out");
  }

  [[nodiscard]] bool wants_alarm_of(SiteId site) const {
    const std::lock_guard lock(mutex_);
    return alarms_ && principal_.sees(site);
  }
  [[nodiscard]] bool wants_overview() const {
    const std::lock_guard lock(mutex_);
    return overview_;
  }
  [[nodiscard]] bool watches_series(const twin::SeriesInfo& series) const {
    const std::lock_guard lock(mutex_);
    return watches(series.twin, series.site);
  }
  /// After samples were passed over: the present values instead.
  void catch_up() {
    Subscription present;
    {
      const std::lock_guard lock(mutex_);
      present.twins = twins_;
      present.sites = sites_;
    }
    bring_present(present);
  }
  [[nodiscard]] bool wants_presence_of(TwinId twin, SiteId site) const {
    const std::lock_guard lock(mutex_);
    return watches(twin, site);
  }
  [[nodiscard]] const access::Principal& principal() const { return principal_; }

 private:
  struct Subscription {
    std::unordered_set<uint32_t> twins, sites;
    bool alarms = false, overview = false;
    size_t watched = 0;
  };

  [[nodiscard]] bool watches(TwinId twin, SiteId site) const {
    return twins_.contains(twin.value) || sites_.contains(site.value);
  }

  Result<Subscription> read(std::string_view text) const {
    TRY_ASSIGN(Json document, parse_json(text, 8));
    if (!document.is_object() || !document.contains("subscribe") ||
        !document["subscribe"].is_object())
      return fail(ErrorCode::kInvalidArgument, "send {\"subscribe\": {…}}");
    BodyReader body(document["subscribe"], "subscribe.");
    const auto twins = body.maybe_texts("twins", hub_.limits_.twins_max);
    const auto sites = body.maybe_texts("sites", 1000);
    Subscription out;
    out.alarms = body.maybe_boolean("alarms").value_or(false);
    out.overview = body.maybe_boolean("overview").value_or(false);
    TRY(body.done());
    for (const auto& reference : twins.value_or(std::vector<std::string>{})) {
      TRY_ASSIGN(const auto twin,
                 find_twin(hub_.services_, principal_, access::Permission::kReadTwins, reference));
      out.watched += out.twins.insert(twin->id.value).second;
    }
    for (const auto& reference : sites.value_or(std::vector<std::string>{})) {
      TRY_ASSIGN(const auto site,
                 find_site(hub_.services_, principal_, access::Permission::kReadTwins, reference));
      if (out.sites.insert(site->id.value).second)
        out.watched += hub_.services_.twins.twin_count(site->id);
    }
    if (out.alarms) TRY(access::authorize(principal_, access::Permission::kReadAlarms));
    if (out.watched > hub_.limits_.twins_max)
      return fail(
          ErrorCode::kResourceExhausted,
          "a client may watch " + std::to_string(hub_.limits_.twins_max) + " twins at once");
    return out;
  }

  Status subscribe(std::string_view text) {
    TRY_ASSIGN(Subscription wanted, read(text));
    {
      const std::lock_guard lock(mutex_);
      twins_ = wanted.twins;
      sites_ = wanted.sites;
      alarms_ = wanted.alarms;
      overview_ = wanted.overview;
      pending_.clear();
      ready_.clear();
    }
    hub_.subscriptions_changed();  // from here on nothing is missed; then what there is already
    push_event({{"type", "subscribed"},
                {"twins", wanted.twins.size()},
                {"sites", wanted.sites.size()},
                {"alarms", wanted.alarms},
                {"overview", wanted.overview}});
    bring_present(wanted);
    return {};
  }

  /// The values there are now, so that the client need not ask for them apart.
  void bring_present(const Subscription& wanted) {
    std::vector<TwinId> ids;
    for (const uint32_t id : wanted.twins) ids.emplace_back(id);
    if (!wanted.sites.empty())
      for (const auto& live : hub_.services_.live.presence())
        if (const auto twin = hub_.services_.twins.twin(live.twin);
            twin && wanted.sites.contains(twin->site.value))
          ids.push_back(twin->id);
    for (const auto& live : hub_.services_.live.live(ids))
      for (const auto& value : live.values)
        if (const auto series = hub_.services_.twins.series(value.sample.series))
          offer(*series, value.sample, value.text);
    release(hub_.services_.clock.monotonic_us());
  }

  std::string values_message(uint32_t twin_id,
                             const std::map<std::string, stream::LiveValue>& values) const {
    const auto twin = hub_.services_.twins.twin(TwinId(twin_id));
    Json out = {{"type", "values"},
                {"twin", twin ? twin->name : twin::to_text(TwinId(twin_id))},
                {"values", Json::object()}};
    for (const auto& [element, value] : values) out["values"][element] = live_value_json(value);
    return out.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  LiveHub& hub_;
  const access::Principal principal_;
  const std::function<bool()> still_valid_;
  mutable std::mutex mutex_;
  std::shared_ptr<WebSocketConnection> connection_;  ///< shared with the server; null once closed
  std::unordered_set<uint32_t> twins_, sites_;
  bool alarms_ = false, overview_ = false;
  using Values = std::map<std::string, stream::LiveValue>;
  std::map<uint32_t, Values> pending_, ready_;
  std::deque<std::string> events_;
  std::map<std::string, std::string> latest_;
  int64_t taken_us_ = 0;

  [[nodiscard]] bool something_waits() const {
    return !ready_.empty() || !events_.empty() || !latest_.empty();
  }
};

LiveHub::LiveHub(const Services& services, stream::Journal& journal, LiveLimits limits)
    : services_(services), journal_(journal), limits_(limits), thread_([this] { run(); }) {}

LiveHub::~LiveHub() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  awake_.notify_all();
  thread_.join();
}

std::shared_ptr<WebSocketSession> LiveHub::open_session(access::Principal principal,
                                                        std::function<bool()> still_valid) {
  return std::make_shared<LiveClient>(*this, std::move(principal), std::move(still_valid));
}

void LiveHub::joined(const std::shared_ptr<LiveClient>& client) {
  {
    const std::lock_guard lock(mutex_);
    clients_.push_back(client);
  }
  awake_.notify_all();
}

void LiveHub::left(const LiveClient* client) {
  std::shared_ptr<LiveClient> last;  // destroyed outside of the lock
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(clients_.begin(), clients_.end(),
                                  [&](const auto& one) { return one.get() == client; });
  if (found == clients_.end()) return;
  last = std::move(*found);
  clients_.erase(found);
}

void LiveHub::subscriptions_changed() { ++subscriptions_; }

std::vector<std::shared_ptr<LiveClient>> LiveHub::all() const {
  const std::lock_guard lock(mutex_);
  return clients_;
}

size_t LiveHub::clients() const {
  const std::lock_guard lock(mutex_);
  return clients_.size();
}

void LiveHub::alarm_changed(const AlarmItem& alarm) {
  Json event;
  for (const auto& client : all()) {
    if (!client->wants_alarm_of(alarm.site)) continue;
    if (event.is_null())
      event = {{"type", "alarm"}, {"alarm", alarm_json(services_, alarm, false)}};
    client->push_event(event);
    client->wake();
  }
}

void LiveHub::run() {
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      if (clients_.empty()) {
        reader_.reset();
        presence_.clear();
        awake_.wait(lock, [&] { return stopping_ || !clients_.empty(); });
      }
      if (stopping_) return;
    }
    tail();
    const int64_t now_us = services_.clock.monotonic_us();
    tick(now_us);
    if (reader_) {
      const int64_t left_us = next_update_us_ - services_.clock.monotonic_us();
      reader_->wait(Duration::micros(std::clamp<int64_t>(left_us, 1000, 250'000)));
    } else {
      std::unique_lock lock(mutex_);
      awake_.wait_for(lock, std::chrono::milliseconds(100), [&] { return stopping_; });
    }
  }
}

/// Reads what is new. Starts at the durable end: whoever subscribes gets the present values apart.
void LiveHub::tail() {
  const bool behind = reader_ && journal_.durable_offset() > position_ + kBehindBytesMax;
  if (!reader_ || behind) {
    position_ = journal_.durable_offset();
    auto reader = journal_.read_from(position_);
    if (!reader) return log_warning("live", "cannot read the journal: {}", reader.error().text());
    reader_ = std::move(*reader);
    if (behind)  // only the newest value matters here, and the shards have it
      for (const auto& client : all()) client->catch_up();
  }
  // So many at once that a burst does not keep updates from going out.
  for (int records = 0; records < 2000; ++records) {
    auto record = reader_->next();
    if (!record) {  // trimmed under a reader that fell behind: go on from the end
      log_warning("live", "reading the journal: {}", record.error().text());
      reader_.reset();
      return;
    }
    if (!*record) return;
    position_ = (*record)->next;
    if ((*record)->type != stream::RecordType::kSamples) continue;
    if (const auto view = stream::decode_samples((*record)->body, unpacked_)) apply(*view);
  }
}

/// Whether anybody watches a series, remembered: most samples of a busy server are of no interest
/// here.
bool LiveHub::interesting(SeriesId series,
                          const std::vector<std::shared_ptr<LiveClient>>& clients) {
  const uint64_t now = subscriptions_;
  if (now != interest_of_) {
    interest_.assign(interest_.size(), Interest::kUnknown);
    interest_of_ = now;
  }
  if (series.value >= kSeriesRemembered) return true;
  if (series.value >= interest_.size()) interest_.resize(series.value + 1, Interest::kUnknown);
  Interest& interest = interest_[series.value];
  if (interest == Interest::kUnknown) {
    const auto info = services_.twins.series(series);
    interest = Interest::kNone;
    for (const auto& client : clients)
      if (info && client->watches_series(*info)) interest = Interest::kWatched;
  }
  return interest == Interest::kWatched;
}

void LiveHub::apply(const stream::SampleView& view) {
  const auto clients = all();
  for (const auto& sample : view.samples) {
    if (!interesting(sample.series, clients)) continue;
    const auto series = services_.twins.series(sample.series);
    if (!series) continue;
    const bool text =
        sample.kind == twin::ValueKind::kText || sample.kind == twin::ValueKind::kObject;
    for (const auto& client : clients)
      client->offer(*series, sample, text ? view.text_of(sample) : std::string_view{});
  }
}

void LiveHub::tick(int64_t now_us) {
  if (now_us >= next_update_us_) {
    next_update_us_ = now_us + limits_.update_interval.us;
    for (const auto& client : all()) client->release(now_us);
  }
  if (now_us >= next_overview_us_) {
    next_overview_us_ = now_us + limits_.overview_interval.us;
    ++subscriptions_;  // twins move and new ones come: look again who watches what
    publish_presence();
    publish_overviews();
  }
  if (now_us >= next_heartbeat_us_) {
    next_heartbeat_us_ = now_us + limits_.heartbeat_interval.us;
    const Json heartbeat = {{"type", "heartbeat"}, {"time", to_rfc3339(services_.clock.now())}};
    for (const auto& client : all()) {
      client->check_still_valid();
      client->push_latest("heartbeat", heartbeat);
    }
  }
}

void LiveHub::publish_presence() {
  const auto clients = all();
  for (const auto& live : services_.live.presence()) {
    const std::pair now(live.online, live.stale);
    const auto [entry, fresh] = presence_.try_emplace(live.twin.value, now);
    if (fresh || entry->second == now) continue;
    entry->second = now;
    const auto twin = services_.twins.twin(live.twin);
    if (!twin) continue;
    const Json event = {{"type", "presence"},
                        {"twin", twin->name},
                        {"online", live.online},
                        {"stale", live.stale},
                        {"last_seen", time_or_null(live.last_seen)}};
    for (const auto& client : clients)
      if (client->wants_presence_of(twin->id, twin->site))
        client->push_latest("presence " + twin->name, event);
  }
}

void LiveHub::publish_overviews() {
  // People who see the same sites get the same picture: it is made once.
  std::map<std::pair<OrganisationId, std::vector<SiteId>>, Json> made;
  for (const auto& client : all()) {
    if (!client->wants_overview()) continue;
    const auto& principal = client->principal();
    const auto key = std::pair(principal.organisation, principal.sites);
    auto found = made.find(key);
    if (found == made.end()) {
      auto overview = overview_json(services_, principal);
      if (!overview) continue;
      found =
          made.emplace(key, Json{{"type", "overview"}, {"overview", std::move(*overview)}}).first;
    }
    client->push_latest("overview", found->second);
  }
}

}  // namespace penstock::api
