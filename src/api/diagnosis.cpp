#include "api/diagnosis.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "api/devices.h"
#include "api/http/arguments.h"
#include "api/render.h"
#include "api/routes.h"
#include "twin/binding.h"

namespace penstock::api {

namespace {

using access::Permission;
using stream::ConnectionState;

constexpr Duration kClockOff = Duration::minutes(5);
constexpr Duration kExpiresSoon = Duration::days(30);

// "14 s", "3 min", "2 h", "5 days": as exact as one says it.
std::string span_text(Duration span) {
  const auto seconds = std::abs(span.as_seconds());
  if (seconds < 120) return fmt::format("{:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  if (seconds < 172'800) return fmt::format("{:.0f} h", seconds / 3600);
  return fmt::format("{:.0f} days", seconds / 86'400);
}

class Examination {
 public:
  explicit Examination(const DiagnosisFacts& facts)
      : f_(facts), c_(facts.connection.value_or(ConnectionState{})) {}

  Diagnosis run() {
    server_and_settings();
    credentials();
    what_it_sends();
    silence();
    clock();
    std::stable_sort(out_.causes.begin(), out_.causes.end(),
                     [](const Cause& a, const Cause& b) { return a.severity < b.severity; });
    out_.state = state();
    return std::move(out_);
  }

 private:
  void add(const char* code, CauseSeverity severity, std::string title, std::string detail,
           std::string remedy) {
    out_.causes.push_back({code, severity, std::move(title), std::move(detail), std::move(remedy)});
  }
  [[nodiscard]] bool ever() const { return c_.last_seen.us != 0; }
  [[nodiscard]] bool silent() const { return !ever() || f_.now - c_.last_seen > f_.stale_after; }

  void server_and_settings() {
    if (!f_.journal_trouble.empty())
      add("journal", CauseSeverity::kError, "Penstock takes no messages", f_.journal_trouble,
          "Mend the disk, then start the server again; devices send again what was not "
          "acknowledged.");
    if (!f_.device->enabled)
      add("disabled", CauseSeverity::kError, "It is switched off here",
          "Its connection is refused.", "Enable it under Access.");
    if (f_.binding_inactive)
      add("binding_inactive", CauseSeverity::kError, "Its binding has no active version",
          f_.device->binding, "Activate a version of the binding.");
  }

  void credentials() {
    for (const auto& refused : f_.refusals) {
      // What was refused before it last spoke has been mended since.
      if (refused.last < c_.last_seen) continue;
      const std::string detail = fmt::format("{} attempts, the last {} ago from {}", refused.count,
                                             span_text(f_.now - refused.last), refused.peer);
      if (refused.reason == "too_many_attempts")
        add("too_many_attempts", CauseSeverity::kError, "It tries too often with a wrong password",
            detail, "Give it its password, or make new credentials; the brake lets go by itself.");
      else if (refused.reason == "bad_credentials")
        add("bad_credentials", CauseSeverity::kError, "It knocks with wrong credentials", detail,
            "Enter its user name and token anew, or make a new token under Access.");
    }
    if (f_.certificate_expires.us == 0) return;
    const Duration left = f_.certificate_expires - f_.now;
    if (left.us <= 0)
      add("certificate_expired", CauseSeverity::kError, "Its certificate has expired",
          span_text(left) + " ago", "Give it a new certificate.");
    else if (left < kExpiresSoon)
      add("certificate_expires", CauseSeverity::kWarning, "Its certificate expires soon",
          "in " + span_text(left), "Plan a new certificate now.");
  }

  void what_it_sends() {
    if (c_.messages > 0 && c_.samples == 0 && c_.rejected > 0)
      add("all_refused", CauseSeverity::kError, "All that it sends is refused", c_.last_rejection,
          "Look at its dead letters, mend its binding or model, then replay them.");
    else if (c_.rejected > 0)
      add("some_refused", CauseSeverity::kWarning, "Some of what it sends is refused",
          fmt::format("{} values; the newest: {}", c_.rejected, c_.last_rejection),
          "Look at its dead letters.");
    if (c_.messages > 0 && c_.samples == 0 && c_.rejected == 0 && c_.unbound > 0)
      add("all_unbound", CauseSeverity::kError, "Its binding leaves out all that it sends",
          fmt::format("{} values came to addresses that {} does not name", c_.unbound,
                      f_.device->binding),
          "Try the binding on one of its messages and add the addresses.");
    else if (c_.suppressed > 0 && c_.suppressed >= c_.samples)
      add("deadband", CauseSeverity::kInfo, "A deadband keeps most values back",
          fmt::format("{} values were too near to the last one, {} were stored", c_.suppressed,
                      c_.samples),
          "Give the deadband a heartbeat, so that silence and stillness look different.");
    if (c_.future > 0)
      add("future_time", CauseSeverity::kError, "Its clock is far ahead",
          fmt::format("{} messages with times in the future were refused", c_.future),
          "Set its clock (NTP), or let the binding take the time of arrival.");
  }

  void silence() {
    if (!silent() || !f_.device->enabled) return;
    if (c_.online) {
      add("connected_silent", CauseSeverity::kError, "It is connected and sends nothing",
          ever() ? fmt::format("The last message came {} ago", span_text(f_.now - c_.last_seen))
                 : "No message since the server started",
          f_.binding_topic.empty()
              ? "See whether it publishes to its own topic, and whether its program runs."
              : "See whether it publishes to a topic of the form " + f_.binding_topic + ".");
      return;
    }
    if (!ever()) {
      if (f_.refusals.empty())
        add("never_knocked", CauseSeverity::kError, "Nothing of that name has come here",
            "No connection and no attempt since the server started",
            "Check its power, its network, and the address and port that it connects to.");
      return;
    }
    add("away", CauseSeverity::kError, "It has gone",
        fmt::format("The last message came {} ago{}", span_text(f_.now - c_.last_seen),
                    c_.detail.empty() ? "" : "; the connection ended: " + c_.detail),
        "Check its power and its network.");
  }

  void clock() {
    const Duration off = c_.clock_offset;
    if (c_.samples == 0 || std::abs(off.us) < kClockOff.us) return;
    add("clock", CauseSeverity::kWarning, "Its times are far from ours",
        fmt::format("{} {}", span_text(off), off.us > 0 ? "ahead" : "behind"),
        "Where it does not send stored values, set its clock (NTP).");
  }

  [[nodiscard]] std::string state() const {
    if (!f_.device->enabled) return "disabled";
    const bool errors = std::any_of(out_.causes.begin(), out_.causes.end(), [](const Cause& c) {
      return c.severity == CauseSeverity::kError;
    });
    if (!ever() && c_.messages == 0) return "never_seen";
    if (silent()) return "silent";
    return errors ? "failing" : "ok";
  }

  const DiagnosisFacts& f_;
  const ConnectionState c_;
  Diagnosis out_;
};

DiagnosisFacts facts_of(const Services& services, const twin::DeviceRecord& device) {
  DiagnosisFacts facts;
  facts.now = services.clock.now();
  facts.device = &device;
  facts.connection = services.connections.connection(device.name);
  facts.refusals = services.knocks.refusals(device.name);
  facts.certificate_expires = services.knocks.certificate_expires(device.name);
  if (device.stale_after_ms > 0) facts.stale_after = Duration::millis(device.stale_after_ms);
  if (!device.binding.empty()) {
    const auto binding = services.twins.binding(device.organisation, device.binding);
    facts.binding_inactive = binding && !(*binding)->active;
    if (binding && (*binding)->active) facts.binding_topic = (*binding)->active->topic.text();
  }
  for (const auto& check : services.health.health())
    if (check.name == "journal" && check.status == stream::HealthStatus::kFailing)
      facts.journal_trouble = check.detail;
  return facts;
}

Result<Response> get_diagnosis(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto device, find_device(services, call, Permission::kReadDevices));
  const DiagnosisFacts facts = facts_of(services, *device);
  const Diagnosis found = diagnose(facts);
  const ConnectionState c = facts.connection.value_or(ConnectionState{});
  Json causes = Json::array();
  for (const Cause& cause : found.causes)
    causes.push_back({{"code", cause.code},
                      {"severity", name(cause.severity)},
                      {"title", cause.title},
                      {"detail", to_valid_utf8(cause.detail)},
                      {"remedy", cause.remedy}});
  Json failures = Json::array();
  for (const auto& refused : facts.refusals)
    failures.push_back({{"reason", refused.reason},
                        {"count", refused.count},
                        {"last", to_rfc3339(refused.last)},
                        {"peer", refused.peer}});
  const bool has_clock = c.samples > 0;
  return Response::json(
      {{"device", device->name},
       {"state", found.state},
       {"online", c.online},
       {"last_seen", time_or_null(c.last_seen)},
       {"interval_s", c.interval.us > 0 ? Json(c.interval.as_seconds()) : Json()},
       {"messages", c.messages},
       {"samples", c.samples},
       {"rejected", c.rejected},
       {"suppressed", c.suppressed},
       {"unbound", c.unbound},
       {"causes", std::move(causes)},
       {"authentication", {{"failures", std::move(failures)}}},
       {"certificate", facts.certificate_expires.us != 0
                           ? Json{{"expires_at", to_rfc3339(facts.certificate_expires)}}
                           : Json()},
       {"clock", has_clock ? Json{{"offset_s", c.clock_offset.as_seconds()}} : Json()}});
}

}  // namespace

std::string_view name(CauseSeverity severity) {
  switch (severity) {
    case CauseSeverity::kError:
      return "error";
    case CauseSeverity::kWarning:
      return "warning";
    case CauseSeverity::kInfo:
      break;
  }
  return "info";
}

Diagnosis diagnose(const DiagnosisFacts& facts) { return Examination(facts).run(); }

void add_diagnosis_routes(Router& router, const Services& services) {
  add_route(router, Method::kGet, "/devices/{id}/diagnosis", Permission::kReadDevices,
            [services](const Call& call) { return get_diagnosis(services, call); });
}

}  // namespace penstock::api
