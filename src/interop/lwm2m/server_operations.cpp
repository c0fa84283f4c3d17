// What people ask of devices (Core 1.1.1, 6.3), queue mode (6.5), and the observations that a
// device's binding needs (6.4).

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <sodium.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "interop/lwm2m/server_impl.h"

namespace penstock::interop::lwm2m {
namespace {

constexpr std::pair<OperationKind, std::string_view> kNames[] = {
    {OperationKind::kRead, "read"},
    {OperationKind::kWrite, "write"},
    {OperationKind::kCreate, "create"},
    {OperationKind::kDelete, "delete"},
    {OperationKind::kExecute, "execute"},
    {OperationKind::kDiscover, "discover"},
    {OperationKind::kWriteAttributes, "write-attributes"},
    {OperationKind::kObserve, "observe"},
    {OperationKind::kCancelObserve, "cancel-observe"},
};

std::string_view word(Operation::Status status) {
  switch (status) {
    case Operation::Status::kWaiting:
      return "waiting";
    case Operation::Status::kSent:
      return "sent";
    case Operation::Status::kDone:
      return "done";
    case Operation::Status::kFailed:
      break;
  }
  return "failed";
}

bool prefers(const Client& client, Format format) {
  return std::ranges::find(client.objects.formats, format) != client.objects.formats.end();
}

// What a composite payload is written in: CBOR unless the device says that it only knows JSON.
Format composite_format(const Client& client) {
  return prefers(client, Format::kSenmlJson) && !prefers(client, Format::kSenmlCbor)
             ? Format::kSenmlJson
             : Format::kSenmlCbor;
}

}  // namespace

std::string_view name(OperationKind kind) {
  for (const auto& [one, text] : kNames)
    if (one == kind) return text;
  return "";
}

std::optional<OperationKind> parse_operation(std::string_view text) {
  for (const auto& [one, known] : kNames)
    if (known == text) return one;
  return std::nullopt;
}

Json value_json(const Value& value) {
  switch (value.type) {
    case DataType::kNone:
      return nullptr;
    case DataType::kFloat:
      return value.number;
    case DataType::kInteger:
    case DataType::kTime:
      return value.integer;
    case DataType::kUnsigned:
      return static_cast<uint64_t>(value.integer);
    case DataType::kBoolean:
      return value.integer != 0;
    default: {
      std::string text;
      append_text(text, value);
      return text;
    }
  }
}

Result<Value> value_of(const Json& json, DataType type) {
  if (json.is_string()) return read_text(json.get<std::string>(), type);
  if (json.is_boolean()) {
    if (type != DataType::kBoolean && type != DataType::kNone)
      return fail(ErrorCode::kInvalidArgument, fmt::format("the resource is a {}", name(type)));
    return Value::of_boolean(json.get<bool>());
  }
  if (json.is_number()) {
    if (type == DataType::kFloat) return Value::of_float(json.get<double>());
    if (type == DataType::kString) return Value::of_text(json.dump());
    const bool whole = json.is_number_integer();
    if (type == DataType::kNone && !whole) return Value::of_float(json.get<double>());
    const double number = json.get<double>();
    const bool fits = type == DataType::kNone || type == DataType::kInteger ||
                      type == DataType::kTime || type == DataType::kUnsigned ||
                      (type == DataType::kBoolean && (number == 0 || number == 1));
    if (fits && (whole || number == std::trunc(number)))
      return Value::of_integer(whole ? json.get<int64_t>() : static_cast<int64_t>(number),
                               type == DataType::kNone ? DataType::kInteger : type);
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the value does not fit a resource of type {}", name(type)));
}

coap::Outgoing Server::Impl::to(const Client& client, uint8_t code, const Path& path) const {
  coap::Outgoing out;
  out.code = code;
  out.add_path(client.objects.root);
  if (path.depth > 0) out.add_path(path.text());
  return out;
}

namespace {

// {"5850": true, "0/5851": 20} or a bare value, as entries below `base`.
Result<std::vector<Entry>> entries_of(const Json& value, const Path& base,
                                      const ObjectTable& table) {
  std::vector<Entry> out;
  const auto add = [&](const Path& path, const Json& one) -> Status {
    if (path.depth < 3)
      return fail(ErrorCode::kInvalidArgument, "a value belongs to a resource", path.text());
    const DataType type = table.type_of(path.object(), path.resource());
    if (one.is_object()) {  // instances of a multiple resource
      for (const auto& [id, inner] : one.items()) {
        TRY_ASSIGN(const Path instance, Path::parse(path.text() + "/" + id));
        TRY_ASSIGN(auto read, value_of(inner, type));
        out.push_back({instance, std::move(read), 0});
      }
      return {};
    }
    auto read = value_of(one, type);
    if (!read) {
      read.error().about = path.text();
      return fail(std::move(read).error());
    }
    out.push_back({path, *std::move(read), 0});
    return {};
  };
  if (!value.is_object() || base.depth >= 3) {
    TRY(add(base, value));
    return out;
  }
  for (const auto& [key, one] : value.items()) {
    std::string text = key;
    if (!text.starts_with('/')) text = (base.depth > 0 ? base.text() : "") + "/" + key;
    TRY_ASSIGN(const Path path, Path::parse(text));
    TRY(add(path, one));
  }
  std::ranges::sort(out, {}, &Entry::path);
  return out;
}

Result<coap::Outgoing> written(coap::Outgoing out, Format format, std::span<const Entry> entries,
                               const Path& base) {
  TRY_ASSIGN(out.payload, encode_content(format, entries, base));
  out.add_number(coap::kContentFormat, static_cast<uint32_t>(format));
  return out;
}

// Resources with one value go as text (or bytes), the rest as TLV, which 1.0 knows, or in what a
// 1.1 device says that it prefers.
Format write_format(const Client& client, const OperationRequest& request,
                    std::span<const Entry> entries) {
  if (request.format != Format::kNone) return request.format;
  if (request.paths.front().depth >= 3 && entries.size() == 1 &&
      entries.front().path == request.paths.front())
    return entries.front().value.type == DataType::kOpaque ? Format::kOpaque : Format::kText;
  const bool tlv = client.objects.formats.empty() || prefers(client, Format::kTlv);
  return tlv ? Format::kTlv : composite_format(client);
}

}  // namespace

Result<coap::Outgoing> Server::Impl::message_of(const Client& client,
                                                const OperationRequest& request) {
  const Path& path = request.paths.front();
  const bool composite = request.paths.size() > 1;
  const auto accept = [&](coap::Outgoing out) {
    if (request.format != Format::kNone)
      out.add_number(coap::kAccept, static_cast<uint32_t>(request.format));
    return out;
  };
  switch (request.kind) {
    case OperationKind::kRead:
    case OperationKind::kObserve: {
      if (!composite) return accept(to(client, coap::kGet, path));
      const Format format =
          request.format != Format::kNone ? request.format : composite_format(client);
      std::vector<Entry> names;
      for (const Path& one : request.paths) names.push_back({one, {}, 0});
      coap::Outgoing out = to(client, coap::kFetch, Path());
      out.add_number(coap::kAccept, static_cast<uint32_t>(format));
      return written(std::move(out), format, names, Path());
    }
    case OperationKind::kWrite: {
      TRY_ASSIGN(const auto read, entries_of(request.value, path, *table));
      if (path.depth == 0)  // Write-Composite
        return written(to(client, coap::kIpatch, Path()),
                       request.format != Format::kNone ? request.format : composite_format(client),
                       read, Path());
      const uint8_t code = path.depth >= 3 || request.replace ? coap::kPut : coap::kPost;
      return written(to(client, code, path), write_format(client, request, read), read, path);
    }
    case OperationKind::kCreate: {
      if (path.depth < 1 || path.depth > 2)
        return fail(ErrorCode::kInvalidArgument, "a create names an object or an instance");
      const Path base = path.first(1);
      const Path instance = path.depth == 2 ? path : base.child(0);
      TRY_ASSIGN(const auto read, entries_of(request.value, instance, *table));
      return written(to(client, coap::kPost, base), write_format(client, request, read), read,
                     path.depth == 2 ? base : instance);
    }
    case OperationKind::kDelete:
      if (path.depth < 2) return fail(ErrorCode::kInvalidArgument, "a delete names an instance");
      return to(client, coap::kDelete, path);
    case OperationKind::kExecute: {
      if (path.depth != 3) return fail(ErrorCode::kInvalidArgument, "an execute names a resource");
      coap::Outgoing out = to(client, coap::kPost, path);
      if (request.arguments.empty()) return out;
      out.add_number(coap::kContentFormat, static_cast<uint32_t>(Format::kText));
      append_bytes(out.payload, as_bytes(request.arguments));
      return out;
    }
    case OperationKind::kDiscover: {
      coap::Outgoing out = to(client, coap::kGet, path);
      out.add_number(coap::kAccept, static_cast<uint32_t>(Format::kLink));
      return out;
    }
    case OperationKind::kWriteAttributes: {
      TRY(request.attributes.check());
      coap::Outgoing out = to(client, coap::kPut, path);
      for (const auto& query : request.attributes.queries()) out.add(coap::kUriQuery, query);
      return out;
    }
    case OperationKind::kCancelObserve:
      break;
  }
  return to(client, coap::kGet, path);
}

// -- operations

OperationPtr Server::Impl::begin_operation(Client& client, OperationRequest request) {
  auto operation = std::make_shared<Operation>();
  operation->id = "op_" + random.hex(8);
  operation->request = std::move(request);
  operation->asked_at = clock.now();
  client.operations.push_back(operation);
  while (client.operations.size() > options.operations_kept &&
         client.operations.front()->status >= Operation::Status::kDone)
    client.operations.pop_front();
  if (awake(client))
    perform(client, operation);
  else
    operation->detail = "the device sleeps or is away: the operation goes out when it speaks";
  return operation;
}

void Server::Impl::perform_waiting(Client& client) {
  // A copy: what is done may add and remove.
  const auto all = client.operations;
  for (const auto& operation : all)
    if (operation->status == Operation::Status::kWaiting) perform(client, operation);
}

void Server::Impl::perform(Client& client, const OperationPtr& operation) {
  const OperationRequest& request = operation->request;
  if (request.kind == OperationKind::kObserve) {
    const uint32_t number = make_observation(client, request.paths, false);
    if (Observation* one = observation(client, number)) {
      one->attributes = request.attributes;
      one->state = Observation::State::kWanted;
      observe(client, number);
      save(client, nullptr);
    }
    operation->status = Operation::Status::kDone;
    operation->detail = "observed; the client's page shows whether the device takes it";
    return finish_operation(*operation);
  }
  if (request.kind == OperationKind::kCancelObserve) {
    std::erase_if(client.observations, [&](const Observation& one) {
      if (one.paths != request.paths) return false;
      cancel(client, one);
      by_token.erase(one.number);
      return true;
    });
    save(client, nullptr);
    operation->status = Operation::Status::kDone;
    return finish_operation(*operation);
  }
  auto message = message_of(client, request);
  if (!message) {
    operation->status = Operation::Status::kFailed;
    operation->detail = message.error().text();
    return finish_operation(*operation);
  }
  operation->status = Operation::Status::kSent;
  operation->detail = "sent";
  messenger->request(client.peer, *std::move(message),
                     [this, location = client.location, operation](Result<Response> outcome) {
                       on_performed(location, operation, std::move(outcome));
                     });
}

void Server::Impl::on_performed(const std::string& location, const OperationPtr& operation,
                                Result<Response> outcome) {
  const auto found = by_location.find(location);
  Client* client = found == by_location.end() ? nullptr : found->second.get();
  if (!outcome) {
    const bool again = client != nullptr && client->queue && !stopping &&
                       operation->detail != "sent again" &&
                       outcome.error().code != ErrorCode::kResourceExhausted;
    if (again) {
      // It fell asleep sooner than it may; once more when it speaks.
      client->awake_until_us = 0;
      operation->status = Operation::Status::kWaiting;
      operation->detail = "the device did not answer: the operation goes out when it speaks";
      return;
    }
    operation->status = Operation::Status::kFailed;
    operation->detail = outcome.error().text();
    return finish_operation(*operation);
  }
  operation->code = outcome->code;
  operation->status =
      coap::is_success(outcome->code) ? Operation::Status::kDone : Operation::Status::kFailed;
  operation->detail = coap::code_words(outcome->code);
  if (!coap::is_success(outcome->code) && !outcome->body.empty() && outcome->body.size() < 500)
    operation->detail += ": " + outcome->body;
  if (client != nullptr && coap::is_success(outcome->code))
    read_outcome(*client, *operation, *outcome);
  finish_operation(*operation);
}

void Server::Impl::read_outcome(Client& client, Operation& operation, const Response& response) {
  const OperationRequest& request = operation.request;
  if (request.kind == OperationKind::kCreate && !response.location.empty())
    operation.detail += " at " + response.location;
  if (request.kind == OperationKind::kDiscover) {
    const auto links = parse_links(response.body);
    if (!links) {
      operation.detail = links.error().text();
      return;
    }
    operation.links = Json::array();
    for (const Link& link : *links) {
      Json attributes = Json::object();
      for (const auto& [key, value] : link.parameters) attributes[key] = value;
      operation.links.push_back({{"path", link.target}, {"attributes", std::move(attributes)}});
    }
    return;
  }
  if (request.kind != OperationKind::kRead) return;
  std::vector<Entry> read;
  const Path base = request.paths.size() == 1 ? request.paths.front() : Path();
  const Status decoded =
      decode_content(response.format == Format::kNone ? Format::kText : response.format,
                     as_bytes(response.body), base, *table, options.content, read);
  if (!decoded) {
    metrics.undecodable.add();
    operation.status = Operation::Status::kFailed;
    operation.detail = decoded.error().text();
    return;
  }
  operation.values = values_json(read);
  // What was read is as good a sample as what was notified.
  report(client, read, "read", [queue = done](bool durable) {
    const std::lock_guard guard(queue->mutex);
    queue->done.push_back({{}, false, durable});
  });
}

void Server::Impl::finish_operation(Operation& operation) {
  operation.done_at = clock.now();
  if (!operation.waiting) return;
  operation.waiting->set_value(operation_json(operation));
  operation.waiting.reset();
}

Json Server::Impl::values_json(std::span<const Entry> read) const {
  Json out = Json::array();
  for (const Entry& entry : read) {
    const auto* resource = entry.path.depth >= 3
                               ? table->resource(entry.path.object(), entry.path.resource())
                               : nullptr;
    out.push_back({{"path", entry.path.text()},
                   {"name", table->words(entry.path)},
                   {"value", value_json(entry.value)},
                   {"type", name(entry.value.type)},
                   {"units", resource != nullptr && !resource->units.empty() ? Json(resource->units)
                                                                             : Json()}});
  }
  return out;
}

Json Server::Impl::operation_json(const Operation& operation) const {
  Json paths = Json::array();
  for (const Path& path : operation.request.paths) paths.push_back(path.text());
  return {{"id", operation.id},
          {"operation", name(operation.request.kind)},
          {"paths", std::move(paths)},
          {"status", word(operation.status)},
          {"detail", operation.detail},
          {"code", operation.code == 0 ? Json() : Json(coap::code_text(operation.code))},
          {"values", operation.values},
          {"links", operation.links},
          {"asked_by", operation.request.who},
          {"asked_at", to_rfc3339(operation.asked_at)},
          {"done_at", operation.done_at.us == 0 ? Json() : Json(to_rfc3339(operation.done_at))}};
}

// -- observations

Observation* Server::Impl::observation(Client& client, uint32_t number) {
  const auto found = std::ranges::find(client.observations, number, &Observation::number);
  return found == client.observations.end() ? nullptr : &*found;
}

// Tokens follow from endpoint and paths: after a restart the same observation has the same one.
uint32_t Server::Impl::make_observation(Client& client, std::vector<Path> paths, bool automatic) {
  for (const Observation& one : client.observations)
    if (one.paths == paths) return one.number;
  std::string text = client.endpoint;
  for (const Path& path : paths) path.append_to(text);
  uint32_t number = crc32c(as_bytes(text));
  while (by_token.contains(number)) ++number;
  Observation made;
  made.number = number;
  made.automatic = automatic;
  made.paths = std::move(paths);
  client.observations.push_back(std::move(made));
  by_token[number] = &client;
  return number;
}

namespace {

// pmax from the heartbeat, st from an absolute deadband, in the wire's unit.
Attributes attributes_of(const twin::WireRule& rule) {
  Attributes out;
  if (rule.deadband.heartbeat_us >= 1'000'000)
    out.pmax = static_cast<uint32_t>(
        std::min<int64_t>(rule.deadband.heartbeat_us / 1'000'000, UINT32_MAX));
  if (rule.deadband.absolute > 0 && rule.scale != 0 && rule.values.empty() && rule.bits.count == 0)
    out.st = rule.deadband.absolute / std::abs(rule.scale);
  return out;
}

}  // namespace

void Server::Impl::plan_observations(Client& client) {
  std::map<Path, Attributes> wanted;
  const auto device = twins.device(client.device);
  client.known = device != nullptr;
  if (device && device->config && device->config->source &&
      device->config->source->protocol == "lwm2m") {
    for (const auto& rule : device->config->source->rules) {
      const auto path = Path::parse(rule.address);
      if (!path || path->depth < 3) continue;
      // A resource instance is observed with its resource: 1.0 knows no other.
      wanted.emplace(path->first(3), attributes_of(rule));
    }
  }
  while (wanted.size() > options.observations_max) wanted.erase(std::prev(wanted.end()));
  std::vector<Path> present;
  for (const auto& [path, attributes] : wanted)
    if (client.has_instance(path)) present.push_back(path);
  const bool composite = present.size() > 1 && client.version != "1.0";
  const auto still_wanted = [&](const Observation& one) {
    if (!one.automatic) return true;
    if (one.paths.size() > 1) return composite && one.paths == present;
    // Single ones stand for a composite that the device refused.
    return std::ranges::find(present, one.paths.front()) != present.end();
  };
  std::erase_if(client.observations, [&](const Observation& one) {
    if (still_wanted(one)) return false;
    if (one.state == Observation::State::kActive) cancel(client, one);
    by_token.erase(one.number);
    return true;
  });
  const bool any = std::ranges::any_of(client.observations,
                                       [](const Observation& one) { return one.automatic; });
  if (composite && !any) {
    make_observation(client, present, true);
  } else if (!composite || any) {
    const bool whole = std::ranges::any_of(client.observations, [](const Observation& one) {
      return one.automatic && one.paths.size() > 1;
    });
    if (!whole)
      for (const Path& path : present) make_observation(client, {path}, true);
  }
  for (Observation& one : client.observations)
    if (one.automatic && one.paths.size() == 1) one.attributes = wanted[one.paths.front()];
}

void Server::Impl::observe_all(Client& client) {
  client.reobserve = false;
  client.restored = false;
  std::vector<uint32_t> numbers;
  for (Observation& one : client.observations) {
    one.state = Observation::State::kWanted;
    one.ordered = false;
    numbers.push_back(one.number);
  }
  for (const uint32_t number : numbers) observe(client, number);
  if (!client.known) read_for_discovery(client);
}

void Server::Impl::observe(Client& client, uint32_t number) {
  Observation* one = observation(client, number);
  if (one == nullptr || !awake(client)) return;
  one->state = Observation::State::kAsked;
  const auto ask = [this, location = client.location, number] {
    const auto found = by_location.find(location);
    if (found == by_location.end()) return;
    Client& there = *found->second;
    const Observation* again = observation(there, number);
    if (again == nullptr) return;
    OperationRequest request;
    request.kind = OperationKind::kObserve;
    request.paths = again->paths;
    auto message = message_of(there, request);
    if (!message) return on_observed(location, number, fail(message.error()));
    message->add(coap::kObserve, "");
    message->token = coap::Token::of(number, 5);
    messenger->request(there.peer, *std::move(message),
                       [this, location, number](Result<Response> outcome) {
                         on_observed(location, number, std::move(outcome));
                       });
  };
  if (one->attributes.empty())
    ask();
  else
    write_attributes(client, number, ask);
}

void Server::Impl::write_attributes(Client& client, uint32_t number, std::function<void()> then) {
  const Observation* one = observation(client, number);
  coap::Outgoing message = to(client, coap::kPut, one->paths.front());
  for (const auto& query : one->attributes.queries()) message.add(coap::kUriQuery, query);
  messenger->request(client.peer, std::move(message),
                     [this, location = client.location, number, then](Result<Response> outcome) {
                       const auto found = by_location.find(location);
                       if (found == by_location.end()) return;
                       Observation* again = observation(*found->second, number);
                       // A device that takes none is observed all the same.
                       if (again != nullptr && outcome && !coap::is_success(outcome->code))
                         again->refusal =
                             "its attributes were refused: " + coap::code_words(outcome->code);
                       then();
                     });
}

void Server::Impl::on_observed(const std::string& location, uint32_t number,
                               Result<Response> outcome) {
  const auto found = by_location.find(location);
  if (found == by_location.end()) return;
  Client& client = *found->second;
  Observation* one = observation(client, number);
  if (one == nullptr) return;
  if (!outcome) {
    one->state = Observation::State::kWanted;
    one->refusal = outcome.error().text();
    client.reobserve = true;  // at its next contact
    if (one->paths.size() > 1 && one->automatic &&
        outcome.error().message.find("reset") != std::string::npos)
      split(client, number);
    return;
  }
  if (!coap::is_success(outcome->code)) {
    one->state = Observation::State::kRefused;
    one->refusal = coap::code_words(outcome->code);
    if (one->paths.size() > 1 && one->automatic) split(client, number);
    return;
  }
  one->state = outcome->observe ? Observation::State::kActive : Observation::State::kRefused;
  if (!outcome->observe) one->refusal = "the device answers, but does not observe it";
  if (outcome->observe) {
    one->ordered = true;
    one->last_sequence = *outcome->observe;
    one->last_us = now_us;
    ++one->notifications;
  }
  ++client.notifications;
  report_response(client, *one, *outcome, [queue = done](bool durable) {
    const std::lock_guard guard(queue->mutex);
    queue->done.push_back({{}, false, durable});
  });
}

// A device that knows no Observe-Composite: each resource by itself.
void Server::Impl::split(Client& client, uint32_t number) {
  const Observation* one = observation(client, number);
  const std::vector<Path> paths = one->paths;
  by_token.erase(number);
  std::erase_if(client.observations, [&](const Observation& o) { return o.number == number; });
  std::vector<uint32_t> made;
  for (const Path& path : paths) made.push_back(make_observation(client, {path}, true));
  for (const uint32_t next : made) observe(client, next);
}

// RFC 7641, 3.6: the same request with Observe 1.
void Server::Impl::cancel(Client& client, const Observation& one) {
  if (!awake(client)) return;
  OperationRequest request;
  request.kind = OperationKind::kObserve;
  request.paths = one.paths;
  auto message = message_of(client, request);
  if (!message) return;
  message->add_number(coap::kObserve, 1);
  message->token = coap::Token::of(one.number, 5);
  messenger->request(client.peer, *std::move(message), nullptr);
}

// A device that nobody registered is asked once what it has: the discovery view proposes a model
// from it. Security, access control and packages are not asked for.
void Server::Impl::read_for_discovery(Client& client) {
  size_t asked = 0;
  for (const Path& instance : client.objects.instances) {
    const uint16_t object = instance.object();
    if (object == 0 || object == 1 || object == 2 || object == 5 || object == 9 ||
        instance.depth < 2 || ++asked > 16)
      continue;
    messenger->request(
        client.peer, to(client, coap::kGet, instance),
        [this, location = client.location, instance](Result<Response> outcome) {
          const auto found = by_location.find(location);
          if (found == by_location.end() || !outcome || !coap::is_success(outcome->code)) return;
          Observation shape;
          shape.paths = {instance};
          report_response(*found->second, shape, *outcome, [queue = done](bool durable) {
            const std::lock_guard guard(queue->mutex);
            queue->done.push_back({{}, false, durable});
          });
        });
  }
}

}  // namespace penstock::interop::lwm2m
