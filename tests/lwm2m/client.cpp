#include "client.h"

#include <algorithm>

namespace lwm2m_peer {
namespace {

constexpr size_t kRecordsMax = 20;  // in one notification: one datagram
constexpr size_t kSendsMax = 4;     // under way at a time

Json json_of(const Record& record) {
  Json out{{"path", record.path.text()}};
  const Value& v = record.value;
  if (v.type == Type::kFloat)
    out["value"] = v.number;
  else if (v.type == Type::kInteger || v.type == Type::kTime)
    out["value"] = v.integer;
  else if (v.type == Type::kBoolean)
    out["value"] = v.boolean;
  else
    out["value"] = v.type == Type::kOpaque ? base64url(v.text) : v.text;
  if (record.time) out["time"] = *record.time;
  return out;
}

}  // namespace

std::string Client::Observation::key() const {
  std::string out = composite ? "composite" : "";
  for (const Path& path : paths) out += path.text() + " ";
  return out;
}

Client::Client(ClientOptions options, Say say)
    : options_(std::move(options)),
      say_(std::move(say)),
      transport_({[this](const Message& m) { return asked(m); },
                  [this](const std::string& why) { broken(why); },
                  [this](const std::string& token) {
                    std::erase_if(observations_, [&](const Observation& one) {
                      if (one.token != token) return false;
                      auto& kept = kept_[one.key()];
                      kept.insert(kept.end(), one.waiting.begin(), one.waiting.end());
                      return true;
                    });
                    say_({{"event", "cancelled"}});
                  },
                  [this](bool acknowledged) { notified(acknowledged); }},
                 options_.timing) {
  objects_.set(Path::parse("/1/0/1"), Value::of_integer(options_.lifetime_s));
}

void Client::keep_registered() {
  keep_ = true;
  if (stage_ == Stage::kOff) connect();
}

void Client::connect() {
  if (options_.server.empty()) return bootstrap();
  stage_ = Stage::kRegistering;
  transport_.connect(options_.server, options_.security, same_port_);
  same_port_ = false;
  register_now();
}

void Client::register_now() {
  stage_ = Stage::kRegistering;
  Message message;
  message.method = Method::kPost;
  message.path = {"rd"};
  message.query = {"ep=" + options_.endpoint, "lt=" + std::to_string(options_.lifetime_s),
                   "lwm2m=1.1", "b=" + options_.binding};
  if (options_.queue_mode) message.query.emplace_back("Q");
  message.format = kLink;
  message.body = objects_.links({}, false);
  transport_.request(message, [this](const Answer& answer) { registered(answer); });
}

void Client::registered(const Answer& answer) {
  if (answer.code == 0) return;  // broken() says so
  if (answer.code != 201) {
    say_(
        {{"event", "refused"}, {"what", "register"}, {"code", answer.code}, {"body", answer.body}});
    stage_ = Stage::kOff;
    retry_at_ = Clock::now() + std::chrono::seconds(1);
    return;
  }
  stage_ = Stage::kRegistered;
  location_ = answer.location;
  update_at_ = Clock::now() + std::chrono::milliseconds(options_.lifetime_s * 600);
  std::string location;
  for (const std::string& part : location_) location += "/" + part;
  say_({{"event", "registered"}, {"location", location}});
  for (Sending& one : sends_) one.under_way = false;
}

// The session is of no use: its observations are gone, and what was not acknowledged waits for the
// next.
void Client::broken(const std::string& why) {
  say_({{"event", "broken"}, {"why", why}});
  for (Observation& one : observations_) {
    auto& kept = kept_[one.key()];
    kept.insert(kept.end(), one.waiting.begin(), one.waiting.end());
  }
  observations_.clear();
  for (Sending& one : sends_) one.under_way = false;
  stage_ = Stage::kOff;
  retry_at_ = Clock::now() + std::chrono::milliseconds(300);
}

void Client::update(const std::vector<std::string>& query) {
  Message message;
  message.method = Method::kPost;
  message.path = location_;
  message.query = query;
  transport_.request(message, [this](const Answer& answer) {
    if (answer.code == 0) return;
    say_({{"event", "updated"}, {"code", answer.code}});
    if (answer.code != 204 && keep_) register_now();  // 4.04: the server knows us no more
  });
  update_at_ = Clock::now() + std::chrono::milliseconds(options_.lifetime_s * 600);
}

void Client::deregister() {
  keep_ = false;
  Message message;
  message.method = Method::kDelete;
  message.path = location_;
  transport_.request(message, [this](const Answer& answer) {
    say_({{"event", "deregistered"}, {"code", answer.code}});
    observations_.clear();
    stage_ = Stage::kOff;
  });
}

void Client::reconnect(bool same_port) {
  same_port_ = same_port;
  transport_.close();
  observations_.clear();
  stage_ = Stage::kOff;
  keep_ = true;
  connect();
}

// Bootstrap: clause 6.1. The server writes the accounts and says that it is done.
void Client::bootstrap() {
  stage_ = Stage::kBootstrapping;
  keep_ = true;
  objects_.set(Path::parse("/0/0/0"), Value::of_string(options_.bootstrap));
  objects_.set(Path::parse("/0/0/1"), Value::of_boolean(true));
  transport_.connect(options_.bootstrap, options_.bootstrap_security);
  Message message;
  message.method = Method::kPost;
  message.path = {"bs"};
  message.query = {"ep=" + options_.endpoint, "pct=112"};
  transport_.request(message, [this](const Answer& answer) {
    if (answer.code == 0) return;
    say_({{"event", "bootstrapping"}, {"code", answer.code}});
    if (answer.code == 204) return;
    stage_ = Stage::kOff;
    retry_at_ = Clock::now() + std::chrono::seconds(1);
  });
}

// The account that the server wrote: Security and Server objects, appendix E.1 and E.2.
void Client::bootstrapped() {
  for (const int instance : objects_.instances(0)) {
    const auto text = [&](int id) {
      const Value* value = objects_.get(Path{{0, instance, id}});
      return value ? value->text : std::string();
    };
    const Value* of_bootstrap = objects_.get(Path{{0, instance, 1}});
    if (of_bootstrap && of_bootstrap->boolean) continue;
    options_.server = text(0);
    const Value* mode = objects_.get(Path{{0, instance, 2}});
    if (mode && mode->integer == 0) {
      options_.security.identity = text(3);
      options_.security.key = text(5);
    }
  }
  if (const Value* lifetime = objects_.get(Path::parse("/1/0/1")))
    options_.lifetime_s = static_cast<int>(lifetime->integer);
  say_({{"event", "bootstrapped"}, {"server", options_.server}, {"lifetime", options_.lifetime_s}});
  stage_ = Stage::kOff;
  retry_at_ = Clock::now() + std::chrono::milliseconds(100);  // our answer goes first
}

// Whether the attributes of the path let this value be told: clause 5.1.2.
bool Client::worth_telling(Observation& observation, const Path& path, double number) const {
  const auto held = objects_.attributes(path);
  const auto last = observation.last_numbers.find(path);
  const bool conditions = held.contains("gt") || held.contains("lt") || held.contains("st");
  if (!conditions || last == observation.last_numbers.end()) return true;
  const double before = last->second;
  const auto crosses = [&](const char* name) {
    const auto limit = held.find(name);
    return limit != held.end() && (before < limit->second) != (number < limit->second);
  };
  const auto step = held.find("st");
  return crosses("gt") || crosses("lt") ||
         (step != held.end() && std::abs(number - before) >= step->second);
}

void Client::sample(const Path& path, Value value, double time) {
  const double number = value.as_number();
  objects_.set(path, value);
  for (Observation& one : observations_) {
    const bool covered = std::any_of(one.paths.begin(), one.paths.end(),
                                     [&](const Path& p) { return p.covers(path); });
    if (!covered || !worth_telling(one, path, number)) continue;
    one.last_numbers[path] = number;
    // Formats without times, and pmin, tell the newest only.
    const auto held = objects_.attributes(one.paths.front());
    const auto pmin = held.find("pmin");
    if ((pmin != held.end() && pmin->second > 0) ||
        (one.format != kSenmlCbor && one.format != kSenmlJson))
      std::erase_if(one.waiting, [&](const Record& record) { return record.path == path; });
    one.waiting.push_back({path, value, time});
  }
}

void Client::pump_notifications() {
  const auto now = Clock::now();
  for (Observation& one : observations_) {
    if (transport_.notifying()) return;
    const auto held = objects_.attributes(one.paths.front());
    const auto seconds = [&](const char* name, double otherwise) {
      const auto found = held.find(name);
      return std::chrono::duration<double>(found == held.end() ? otherwise : found->second);
    };
    const auto since = now - one.sent;
    const bool overdue = held.contains("pmax") && since >= seconds("pmax", 0);
    if (!overdue && (one.waiting.empty() || since < seconds("pmin", 0))) continue;
    flying_key_ = one.key();
    flying_token_ = one.token;
    const auto count = static_cast<ptrdiff_t>(std::min(one.waiting.size(), kRecordsMax));
    flying_.assign(one.waiting.begin(), one.waiting.begin() + count);
    one.waiting.erase(one.waiting.begin(), one.waiting.begin() + count);
    std::vector<Record> told = flying_;
    const bool plain = one.format != kSenmlCbor && one.format != kSenmlJson;
    if (told.empty() || plain) {
      told.clear();
      for (const Path& path : one.paths)
        for (const Record& record : objects_.read(path, false)) told.push_back(record);
    }
    const Path base = one.paths.size() == 1 ? one.paths.front() : Path{};
    one.sent = now;
    transport_.notify(one.token, one.number++, one.format, encode(base, told, one.format));
  }
}

void Client::notified(bool acknowledged) {
  if (acknowledged) {
    Json records = Json::array();
    for (const Record& record : flying_) records.push_back(json_of(record));
    say_({{"event", "notified"}, {"records", records}});
  } else {
    // Back to where it came from, before what is newer.
    auto one = std::find_if(observations_.begin(), observations_.end(),
                            [&](const Observation& o) { return o.token == flying_token_; });
    auto& waiting = one == observations_.end() ? kept_[flying_key_] : one->waiting;
    waiting.insert(waiting.begin(), flying_.begin(), flying_.end());
  }
  flying_.clear();
}

void Client::send(int64_t id, std::vector<Record> records, int format) {
  sends_.push_back({id, std::move(records), format});
}

void Client::pump_sends() {
  auto under_way = static_cast<size_t>(std::count_if(
      sends_.begin(), sends_.end(), [](const Sending& one) { return one.under_way; }));
  for (Sending& one : sends_) {
    if (under_way >= kSendsMax) return;
    if (one.under_way) continue;
    one.under_way = true;
    ++under_way;
    Message message;
    message.method = Method::kPost;
    message.path = {"dp"};
    message.format = one.format;
    message.body = encode({}, one.records, one.format);
    transport_.request(message, [this, id = one.id](const Answer& answer) {
      const auto found =
          std::find_if(sends_.begin(), sends_.end(), [&](const Sending& s) { return s.id == id; });
      if (found == sends_.end()) return;
      found->under_way = false;
      if (answer.code == 0) return;  // kept
      say_({{"event", "sent"}, {"id", id}, {"code", answer.code}});
      // 5.03 asks to come later; what is refused as such would be refused again.
      if (answer.code / 100 == 2 || answer.code / 100 == 4) sends_.erase(found);
      if (answer.code == 404 && keep_) register_now();
    });
  }
}

// Blocks of a body that never ends, one after the other, until the server has enough.
void Client::flood(const std::vector<std::string>& path, uint64_t bytes_max) {
  struct Flood {
    Message message;
    uint64_t blocks = 0, blocks_max = 0;
  };
  auto flood = std::make_shared<Flood>();  // shared: by the callbacks, one after the other
  flood->message.method = Method::kPost;
  flood->message.path = path;
  flood->message.format = kSenmlCbor;
  flood->message.body.assign(1024, '\x82');
  flood->blocks_max = bytes_max / 1024;
  auto next = std::make_shared<std::function<void(const Answer&)>>();
  *next = [this, flood, next](const Answer& answer) {
    if (answer.code == 231 && ++flood->blocks < flood->blocks_max && flood->blocks < (1U << 20)) {
      transport_.request_block(flood->message, static_cast<uint32_t>(flood->blocks), *next);
      return;
    }
    say_({{"event", "flooded"},
          {"blocks", flood->blocks},
          {"code", answer.code},
          {"trouble", answer.trouble}});
    *next = nullptr;
  };
  transport_.request_block(flood->message, 0, *next);
}

void Client::raw(int64_t id, const Message& message) {
  transport_.request(message, [this, id](const Answer& answer) {
    Json event{
        {"event", "answer"}, {"id", id}, {"code", answer.code}, {"body", base64url(answer.body)}};
    if (answer.format) event["format"] = *answer.format;
    if (!answer.location.empty()) event["location"] = answer.location;
    if (answer.code == 0) event["trouble"] = answer.trouble;
    say_(event);
  });
}

Json Client::state() const {
  Json observations = Json::array();
  for (const Observation& one : observations_)
    observations.push_back(
        {{"key", one.key()}, {"format", one.format}, {"waiting", one.waiting.size()}});
  size_t kept = 0;
  for (const auto& [key, records] : kept_) kept += records.size();
  static const char* const kStages[] = {"off", "bootstrapping", "registering", "registered"};
  return {{"event", "state"},
          {"stage", kStages[static_cast<int>(stage_)]},
          {"observations", observations},
          {"kept", kept},
          {"sends", sends_.size()},
          {"flying", flying_.size()}};
}

void Client::run(uint32_t wait_ms) {
  transport_.run(wait_ms);
  const auto now = Clock::now();
  if (now >= reboot_at_) install();
  if (keep_ && stage_ == Stage::kOff && now >= retry_at_) connect();
  if (stage_ != Stage::kRegistered) return;
  if (keep_ && now >= update_at_) update({});
  pump_sends();
  pump_notifications();
}

}  // namespace lwm2m_peer
