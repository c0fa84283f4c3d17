// What a server asks of the client: device management, information reporting, bootstrap, firmware.
// Core technical specification 1.1.1, clauses 6.1, 6.3, 6.4; appendix E.6 for firmware.

#include <algorithm>

#include "client.h"

namespace lwm2m_peer {
namespace {

Answer code(int value) {
  Answer answer;
  answer.code = value;
  return answer;
}

Answer content(int format, std::string body) {
  Answer answer = code(205);
  answer.format = format;
  answer.body = std::move(body);
  return answer;
}

Path path_of(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts)
    if (!part.empty()) text += "/" + part;
  return Path::parse(text);
}

// Appendix E.6: the states of the update, and its results.
enum FirmwareState { kIdle, kDownloading, kDownloaded, kUpdating };
enum FirmwareResult { kInitial, kSuccess, kNoIntegrity = 5, kInvalidUri = 7 };

// The package of the tests: "PENSTOCK-FIRMWARE <version>\n" and anything behind.
constexpr std::string_view kMagic = "PENSTOCK-FIRMWARE ";

}  // namespace

std::string Client::encode(const Path& base, const std::vector<Record>& records, int format) const {
  switch (format) {
    case kSenmlJson:
      return senml_json_encode(base, records);
    case kSenmlCbor:
      return senml_cbor_encode(base, records);
    case kTlv:
      return tlv_encode(base, records, is_multiple);
    case kText:
      return records.empty() ? "" : text_encode(records.front().value);
    case kOpaqueFormat:
      return records.empty() ? "" : records.front().value.text;
    default:
      throw Refused{406};
  }
}

std::vector<Record> Client::decode(const Path& base, const Message& message) const {
  switch (message.format.value_or(kText)) {
    case kSenmlJson:
      return senml_json_decode(message.body);
    case kSenmlCbor:
      return senml_cbor_decode(message.body);
    case kTlv:
      return tlv_decode(base, message.body, type_of);
    case kText:
      if (base.ids.size() < 3) throw Refused{400};
      return {{base, text_decode(message.body, type_of(base)), {}}};
    case kOpaqueFormat:
      if (base.ids.size() < 3) throw Refused{400};
      return {{base, Value::of_opaque(message.body), {}}};
    default:
      throw Refused{415};
  }
}

Answer Client::asked(const Message& message) {
  try {
    const bool finish = bootstrapping() && message.path == std::vector<std::string>{"bs"} &&
                        message.method == Method::kPost;
    if (finish) {
      bootstrapped();
      return code(204);
    }
    const Answer given = answer(message, path_of(message.path));
    static const char* const kMethods[] = {"",       "GET",   "POST",  "PUT",
                                           "DELETE", "FETCH", "PATCH", "iPATCH"};
    std::string where;
    for (const std::string& part : message.path) where += "/" + part;
    Json event{{"event", "asked"},
               {"method", kMethods[static_cast<int>(message.method)]},
               {"path", where},
               {"code", given.code}};
    if (message.format) event["format"] = *message.format;
    if (message.accept) event["accept"] = *message.accept;
    if (message.observe) event["observe"] = *message.observe;
    if (!message.query.empty()) event["query"] = message.query;
    if (!message.body.empty()) event["bytes"] = message.body.size();
    say_(event);
    return given;
  } catch (const Refused& refused) {
    say_({{"event", "asked"}, {"path", message.path}, {"code", refused.code}});
    return code(refused.code);
  } catch (const FormatError& error) {
    say_({{"event", "asked"}, {"path", message.path}, {"code", 400}, {"why", error.what()}});
    return code(400);
  }
}

Answer Client::answer(const Message& message, const Path& path) {
  switch (message.method) {
    case Method::kGet:
      return get(message, path);
    case Method::kFetch:
      return fetch(message);
    case Method::kPut:
      return put(message, path);
    case Method::kPost:
      return post(message, path);
    case Method::kDelete:
      objects_.erase(path, bootstrapping());
      return code(202);
    case Method::kIpatch:
      objects_.write({}, decode({}, message), false, false);
      return code(204);
    default:
      throw Refused{405};
  }
}

Answer Client::get(const Message& message, const Path& path) {
  if (message.accept == kLink) return content(kLink, objects_.links(path, bootstrapping()));
  const auto records = objects_.read(path, bootstrapping());
  const bool single = path.ids.size() >= 3 && records.size() == 1 && !is_multiple(path);
  int format = message.accept.value_or(single ? kText : options_.format);
  if (!message.accept && single && records.front().value.type == Type::kOpaque)
    format = kOpaqueFormat;
  if (!single && (format == kText || format == kOpaqueFormat)) throw Refused{406};
  return observe(message, {path}, false, content(format, encode(path, records, format)));
}

Answer Client::fetch(const Message& message) {
  std::vector<Record> records;
  std::vector<Path> paths;
  for (const Record& asked : decode({}, message)) {
    paths.push_back(asked.path);
    if (!objects_.exists(asked.path)) continue;
    for (const Record& record : objects_.read(asked.path, false)) records.push_back(record);
  }
  if (paths.empty()) throw Refused{400};
  const int format = message.accept.value_or(message.format.value_or(kSenmlCbor));
  if (format != kSenmlCbor && format != kSenmlJson) throw Refused{406};
  return observe(message, std::move(paths), true, content(format, encode({}, records, format)));
}

// Observe 0 begins, 1 ends: RFC 7641. What waited for such an observation goes with its first
// notification.
Answer Client::observe(const Message& message, std::vector<Path> paths, bool composite,
                       Answer first) {
  if (!message.observe) return first;
  Observation one;
  one.token = message.token;
  one.paths = std::move(paths);
  one.composite = composite;
  one.format = *first.format;
  one.sent = Clock::now();
  const std::string key = one.key();
  std::erase_if(observations_, [&](Observation& old) {
    if (old.key() != key && old.token != message.token) return false;
    one.waiting = std::move(old.waiting);
    return true;
  });
  if (*message.observe != 0) return first;
  if (const auto kept = kept_.find(key); kept != kept_.end()) {
    one.waiting.insert(one.waiting.begin(), kept->second.begin(), kept->second.end());
    kept_.erase(kept);
  }
  for (const Path& path : one.paths)
    if (const Value* value = objects_.get(path)) one.last_numbers[path] = value->as_number();
  observations_.push_back(std::move(one));
  first.observe = 1;
  return first;
}

Answer Client::put(const Message& message, const Path& path) {
  if (!message.format && message.body.empty() && !message.query.empty()) {
    for (const std::string& attribute : message.query) objects_.set_attributes(path, attribute);
    return code(204);
  }
  if (path.ids == std::vector<int>{5, 0, 0} && message.format != kTlv) {
    objects_.set(path, Value::of_opaque(message.body));
    package_written();
    return code(204);
  }
  objects_.write(path, decode(path, message), true, bootstrapping());
  if (path.covers(Path::parse("/5/0/1"))) download();
  if (path.covers(Path::parse("/1/0/1")) && !bootstrapping()) {
    options_.lifetime_s = static_cast<int>(objects_.get(Path::parse("/1/0/1"))->integer);
    update_at_ = Clock::now();
  }
  return code(204);
}

Answer Client::post(const Message& message, const Path& path) {
  if (path.ids.size() == 3) return execute(path, message.body);
  if (path.ids.size() == 2) {
    objects_.write(path, decode(path, message), false, false);
    return code(204);
  }
  if (path.ids.size() != 1) throw Refused{405};
  const auto records = decode(path, message);
  const bool names = !records.empty() &&
                     (message.format != kTlv || (static_cast<uint8_t>(message.body[0]) >> 6) == 0);
  const int instance =
      objects_.create(path.ids[0], names ? records.front().path.ids[1] : -1, records);
  Answer answer = code(201);
  answer.location = {std::to_string(path.ids[0]), std::to_string(instance)};
  return answer;
}

Answer Client::execute(const Path& path, const std::string& arguments) {
  const ResourceKind* kind = kind_of(path);
  if (!kind || !objects_.exists(path)) throw Refused{404};
  if (!(kind->access & kExecute)) throw Refused{405};
  say_({{"event", "executed"}, {"path", path.text()}, {"arguments", arguments}});
  if (path == Path::parse("/1/0/8")) update_at_ = Clock::now();
  if (path == Path::parse("/3/0/4")) reboot_at_ = Clock::now() + std::chrono::milliseconds(200);
  if (path == Path::parse("/5/0/2")) {
    if (objects_.get(Path::parse("/5/0/3"))->integer != kDownloaded) throw Refused{405};
    sample(Path::parse("/5/0/3"), Value::of_integer(kUpdating), {});
    reboot_at_ = Clock::now() + std::chrono::milliseconds(200);
  }
  return code(204);
}

// Resource 5/0/0 has a new package; an empty one (or one zero byte) starts over.
void Client::package_written() {
  const std::string package = objects_.get(Path::parse("/5/0/0"))->text;
  const bool reset = package.empty() || package == std::string(1, '\0');
  const bool good = package.starts_with(kMagic);
  sample(Path::parse("/5/0/3"), Value::of_integer(good ? kDownloaded : kIdle), {});
  sample(Path::parse("/5/0/5"), Value::of_integer(good || reset ? kInitial : kNoIntegrity), {});
  say_({{"event", "package"}, {"bytes", package.size()}, {"good", good}});
}

void Client::download() {
  const std::string uri = objects_.get(Path::parse("/5/0/1"))->text;
  if (uri.empty()) {
    sample(Path::parse("/5/0/3"), Value::of_integer(kIdle), {});
    return;
  }
  sample(Path::parse("/5/0/3"), Value::of_integer(kDownloading), {});
  try {
    transport_.fetch(uri, options_.security, [this](const Answer& answer) {
      if (answer.code != 205) {
        say_({{"event", "package"}, {"code", answer.code}, {"trouble", answer.trouble}});
        sample(Path::parse("/5/0/3"), Value::of_integer(kIdle), {});
        sample(Path::parse("/5/0/5"), Value::of_integer(kInvalidUri), {});
        return;
      }
      objects_.set(Path::parse("/5/0/0"), Value::of_opaque(answer.body));
      package_written();
    });
  } catch (const std::exception&) {
    sample(Path::parse("/5/0/3"), Value::of_integer(kIdle), {});
    sample(Path::parse("/5/0/5"), Value::of_integer(kInvalidUri), {});
  }
}

// A reboot; with a package in place the new version runs behind it.
void Client::install() {
  reboot_at_ = Clock::time_point::max();
  if (objects_.get(Path::parse("/5/0/3"))->integer == kUpdating) {
    const std::string& package = objects_.get(Path::parse("/5/0/0"))->text;
    const std::string version = package.substr(kMagic.size(), package.find('\n') - kMagic.size());
    sample(Path::parse("/5/0/3"), Value::of_integer(kIdle), {});
    sample(Path::parse("/5/0/5"), Value::of_integer(kSuccess), {});
    sample(Path::parse("/5/0/7"), Value::of_string(version), {});
    objects_.set(Path::parse("/3/0/3"), Value::of_string(version));
  }
  say_({{"event", "rebooted"}});
  reconnect(false);
}

}  // namespace lwm2m_peer
