// Notifications, Send, and what else carries values: to the shard that owns the device.

#include <fmt/format.h>

#include "base/log.h"
#include "interop/lwm2m/server_impl.h"

namespace penstock::interop::lwm2m {
namespace {

// RFC 7641, 3.4: whether a notification is newer than the last one.
bool is_newer(uint32_t last, uint32_t now, int64_t since_last_us) {
  constexpr uint32_t kHalf = 1U << 23;
  return (last < now && now - last < kHalf) || (last > now && last - now > kHalf) ||
         since_last_us > 128'000'000;
}

// RFC 8428, 4.5.3: times below 2^28 are relative to now.
Timestamp time_of(double seconds, Timestamp now) {
  if (seconds == 0) return {};
  const double us = seconds * 1e6;
  if (us > 9e18 || us < -9e18) return {};
  const auto whole = static_cast<int64_t>(us);
  return seconds < 268'435'456.0 ? Timestamp{now.us + whole} : Timestamp{whole};
}

}  // namespace

void Server::Impl::report(Client& client, std::span<const Entry> read, std::string_view how,
                          std::function<void(bool)> then) {
  const Timestamp now = clock.now();
  values.clear();
  addresses_text.clear();
  // Reserved ahead: the views must not move.
  size_t needed = 0;
  for (const Entry& entry : read)
    needed += 28 + (entry.value.type == DataType::kOpaque ? entry.value.text.size() * 2 + 8 : 0);
  addresses_text.reserve(needed);
  for (const Entry& entry : read) {
    if (entry.value.type == DataType::kNone) continue;
    const size_t at = addresses_text.size();
    entry.path.append_to(addresses_text);
    const std::string_view address(addresses_text.data() + at, addresses_text.size() - at);
    const Timestamp time = time_of(entry.time, now);
    switch (entry.value.type) {
      case DataType::kFloat:
        values.push_back(stream::WireValue::of(address, entry.value.number, time));
        break;
      case DataType::kInteger:
      case DataType::kUnsigned:
      case DataType::kTime:
        values.push_back(stream::WireValue::of(address, entry.value.integer, time));
        break;
      case DataType::kBoolean:
        values.push_back(stream::WireValue::of(address, entry.value.integer != 0, time));
        break;
      case DataType::kOpaque: {
        const size_t text_at = addresses_text.size();
        append_text(addresses_text, entry.value);
        values.push_back(stream::WireValue::of(
            address,
            std::string_view(addresses_text.data() + text_at, addresses_text.size() - text_at),
            time));
        break;
      }
      default:
        values.push_back(stream::WireValue::of(address, std::string_view(entry.value.text), time));
    }
  }
  ++reports_waiting;
  if (values.empty()) return then(true);
  std::string origin = "lwm2m:";
  origin.append(client.endpoint).append("/").append(how);
  hooks.submit(stream::OwnedReport({client.organisation, client.device, origin, values}),
               std::move(then));
}

bool Server::Impl::on_notification(const Exchange& exchange, const Response& notification) {
  now_us = clock.monotonic_us();
  const auto found = by_token.find(static_cast<uint32_t>(exchange.token.number()));
  if (found == by_token.end() || exchange.token.size != 5) {
    metrics.unknown.add();
    return false;
  }
  Client& client = *found->second;
  // Whoever speaks must be the device: its session, or the address it registered from.
  if (client_of(exchange.peer) != &client) {
    metrics.unknown.add();
    return false;
  }
  Observation* one = observation(client, found->first);
  if (one == nullptr) return false;
  metrics.notifications.add();
  ++client.notifications;
  ++one->notifications;
  contact(client, exchange.peer, false);
  const bool was_restored = client.reobserve;
  const auto acknowledge_when = [this, exchange](bool respond) {
    return [queue = done, exchange, respond](bool durable) {
      const std::lock_guard guard(queue->mutex);
      queue->done.push_back({exchange, respond, durable});
      if (queue->done.size() == 1 && queue->messenger != nullptr) queue->messenger->wake();
    };
  };
  const PeerInfo* peer = messenger->peer(exchange.peer);
  const bool stream = peer != nullptr && is_stream(peer->transport);
  if (!coap::is_success(notification.code)) {
    one->state = Observation::State::kRefused;
    one->refusal = "the device ended it: " + coap::code_words(notification.code);
    messenger->acknowledge(exchange);
  } else if (!stream && notification.observe && one->ordered &&
             !is_newer(one->last_sequence, *notification.observe, now_us - one->last_us)) {
    ++one->stale;
    metrics.stale.add();
    messenger->acknowledge(exchange);
  } else if (notification.partial) {
    messenger->acknowledge(exchange);
    read_again(client, *one);
  } else if (reports_waiting >= options.reports_waiting_max) {
    metrics.overloaded.add();  // not acknowledged: the device repeats it
  } else {
    if (notification.observe) {
      one->ordered = true;
      one->last_sequence = *notification.observe;
      one->last_us = now_us;
    }
    if (!report_response(client, *one, notification, acknowledge_when(false)))
      messenger->acknowledge(exchange);
  }
  if (was_restored) contact(client, exchange.peer, true);
  return true;
}

// False: it could not be read, and `then` will not be called.
bool Server::Impl::report_response(Client& client, const Observation& observation,
                                   const Response& response, std::function<void(bool)> then) {
  entries.clear();
  const Path base = observation.paths.size() == 1 ? observation.paths.front() : Path();
  const Status read =
      decode_content(response.format == Format::kNone ? Format::kText : response.format,
                     as_bytes(response.body), base, *table, options.content, entries);
  if (!read) {
    metrics.undecodable.add();
    log_warning("lwm2m", "{}: a value of {} was not read: {}", client.endpoint, base.text(),
                read.error().text());
    return false;
  }
  report(client, entries, "observe", std::move(then));
  return true;
}

// A notification longer than one block: the rest is read with the whole (RFC 7959, 2.6).
void Server::Impl::read_again(Client& client, const Observation& observation) {
  coap::Outgoing message = to(client, coap::kGet, observation.paths.front());
  if (observation.paths.size() > 1) return;  // composite reads of that size are not asked for
  messenger->request(
      client.peer, std::move(message),
      [this, location = client.location, number = observation.number](Result<Response> outcome) {
        const auto found = by_location.find(location);
        if (found == by_location.end() || !outcome || !coap::is_success(outcome->code)) return;
        if (Observation* one = this->observation(*found->second, number))
          report_response(*found->second, *one, *outcome, [queue = done](bool durable) {
            const std::lock_guard guard(queue->mutex);
            queue->done.push_back({{}, false, durable});
          });
      });
}

// Core 1.1.1, 6.4.6.
void Server::Impl::on_send(const IncomingRequest& request) {
  now_us = clock.monotonic_us();
  const Exchange exchange = request.exchange;
  Client* client = client_of(exchange.peer);
  if (client == nullptr) return answer(exchange, coap::kNotFound, "register first");
  if (reports_waiting >= options.reports_waiting_max) {
    metrics.overloaded.add();
    return answer(exchange, coap::kUnavailable);
  }
  entries.clear();
  const Status read =
      decode_content(request.format(), request.body, Path(), *table, options.content, entries);
  if (!read) {
    metrics.undecodable.add();
    return answer(
        exchange,
        read.error().code == ErrorCode::kUnsupported ? coap::kUnsupportedFormat : coap::kBadRequest,
        read.error().message);
  }
  for (const Entry& entry : entries)
    if (!client->has_object(entry.path.object()))
      return answer(exchange, coap::kNotFound, "an object that is not registered");
  metrics.sends.add();
  ++client->sends;
  contact(*client, exchange.peer, false);
  report(*client, entries, "send", [queue = done, exchange](bool durable) {
    const std::lock_guard guard(queue->mutex);
    queue->done.push_back({exchange, true, durable});
    if (queue->done.size() == 1 && queue->messenger != nullptr) queue->messenger->wake();
  });
  contact(*client, exchange.peer, true);
}

}  // namespace penstock::interop::lwm2m
