// /rules and /detectors.

#include <algorithm>

#include <fmt/format.h>

#include "api/http/arguments.h"
#include "api/ports.h"
#include "api/render.h"
#include "api/routes.h"
#include "stream/views.h"

namespace penstock::api {
namespace {

using access::Permission;

/// Whether a person sees what a scope reaches: rules of a model reach everybody's twins.
bool sees_scope(const Services& services, const access::Principal& principal,
                const twin::Scope& scope) {
  if (principal.sites.empty()) return true;
  if (!scope.site.empty()) {
    const auto site = services.twins.site(principal.organisation, scope.site);
    return site && principal.sees((*site)->id);
  }
  if (!scope.twin.empty()) {
    const auto twin = services.twins.twin(principal.organisation, scope.twin);
    return twin && principal.sees((*twin)->site);
  }
  return true;
}

/// Changing a rule needs sight of everything it reaches: one for a model is for those who see all
/// sites.
Status may_write_scope(const Services& services, const access::Principal& principal,
                       const twin::Scope& scope) {
  if (principal.sites.empty()) return {};
  if (!scope.model.empty())
    return fail(ErrorCode::kPermissionDenied,
                "a rule for a model reaches sites that you do not see; choose a site or a twin",
                "scope");
  if (!sees_scope(services, principal, scope))
    return fail(ErrorCode::kNotFound, "there is no such thing here", "scope");
  return {};
}

Json rule_json(const RuleItem& rule) {
  Json scope = Json::object();
  if (!rule.scope.model.empty()) scope["model"] = rule.scope.model;
  if (!rule.scope.site.empty()) scope["site"] = rule.scope.site;
  if (!rule.scope.twin.empty()) scope["twin"] = rule.scope.twin;
  return {{"id", fmt::format("rule_{}", rule.id.value)},
          {"name", rule.name},
          {"scope", std::move(scope)},
          {"element", rule.element},
          {"kind", name(rule.kind)},
          {"comparison", rule.above ? ">" : "<"},
          {"limit", rule.limit},
          {"hysteresis", rule.hysteresis},
          {"on_delay_s", rule.on_delay.as_seconds()},
          {"off_delay_s", rule.off_delay.as_seconds()},
          {"priority", name(rule.priority)},
          {"message", rule.message},
          {"enabled", rule.enabled},
          {"cause", rule.cause},
          {"consequence", rule.consequence},
          {"action", rule.action}};
}

twin::Scope read_scope(BodyReader& body) {
  twin::Scope scope;
  const Json& given = body.any("scope");
  if (!given.is_object()) {
    body.complain("scope", "must be an object with model, site or twin");
    return scope;
  }
  BodyReader one(given, "scope.");
  scope.model = one.optional_text("model", 2048);
  scope.site = one.optional_text("site", 80);
  scope.twin = one.optional_text("twin", 80);
  if (const auto status = one.done(); !status) body.complain("scope", status.error().text());
  if (int{!scope.model.empty()} + int{!scope.site.empty()} + int{!scope.twin.empty()} != 1)
    body.complain("scope", "must have exactly one of model, site and twin");
  return scope;
}

Duration read_delay(BodyReader& body, std::string_view member) {
  const double seconds = body.maybe_number(member).value_or(0);
  if (seconds < 0 || seconds > 86'400) body.complain(member, "must be from 0 to 86400 seconds");
  return Duration::micros(static_cast<int64_t>(std::clamp(seconds, 0.0, 86'400.0) * 1e6));
}

/// Names of the scope and element must mean something: a rule that can never fire is an error, not
/// a surprise.
Status check_scope(const Services& services, const access::Principal& principal,
                   const RuleItem& rule) {
  TRY(may_write_scope(services, principal, rule.scope));
  if (!rule.scope.model.empty()) {
    TRY_ASSIGN(const auto model, services.twins.model(principal.organisation, rule.scope.model));
    if (!rule.element.empty() && model->element(rule.element) == nullptr)
      return fail(ErrorCode::kInvalidArgument, "the model has no such element", "element");
  } else if (!rule.scope.twin.empty()) {
    TRY_ASSIGN(const auto twin, services.twins.twin(principal.organisation, rule.scope.twin));
    if (!rule.element.empty() && twin->model->element(rule.element) == nullptr)
      return fail(ErrorCode::kInvalidArgument, "the twin has no such element", "element");
  } else {
    TRY(services.twins.site(principal.organisation, rule.scope.site));
  }
  return {};
}

Result<RuleItem> read_rule(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  RuleItem rule;
  rule.name = body.optional_text("name", 200);
  rule.scope = read_scope(body);
  rule.element = body.optional_text("element", 200);
  const std::string kind = body.text("kind", 20);
  const std::string comparison = body.maybe_text("comparison", 2).value_or(">");
  rule.limit = body.number("limit");
  rule.hysteresis = body.maybe_number("hysteresis").value_or(0);
  rule.on_delay = read_delay(body, "on_delay_s");
  rule.off_delay = read_delay(body, "off_delay_s");
  const std::string priority = body.text("priority", 20);
  rule.message = body.text("message", 500);
  rule.enabled = body.maybe_boolean("enabled").value_or(true);
  rule.cause = body.optional_text("cause");
  rule.consequence = body.optional_text("consequence");
  rule.action = body.optional_text("action");
  bool known = false;
  for (const auto one : {RuleKind::kThreshold, RuleKind::kRate, RuleKind::kStale})
    if (name(one) == kind) {
      rule.kind = one;
      known = true;
    }
  if (!known) body.complain("kind", "must be threshold, rate or stale");
  rule.above = comparison == ">";
  if (comparison != ">" && comparison != "<") body.complain("comparison", "must be > or <");
  if (rule.hysteresis < 0) body.complain("hysteresis", "may not be negative");
  if (rule.element.empty() && rule.kind != RuleKind::kStale)
    body.complain("element", "is required");
  if (rule.kind == RuleKind::kStale && rule.limit <= 0)
    body.complain("limit", "must be a number of seconds above 0");
  TRY(body.done());
  TRY_ASSIGN(rule.priority, parse_priority(priority));
  TRY(check_scope(services, call.principal, rule));
  return rule;
}

Result<RuleItem> find_rule(const Services& services, const Call& call) {
  const auto id = numbered_id(call.parameter("id"), "rule");
  TRY_ASSIGN(auto rules, services.rules.rules(call.principal.organisation));
  for (auto& rule : rules)
    if (id && rule.id.value == *id && sees_scope(services, call.principal, rule.scope))
      return std::move(rule);
  return fail(ErrorCode::kNotFound, "there is no such rule", call.parameter("id"));
}

/// One page of what is in memory already, by id.
template <class Item, class ToJson>
Response page_of(const std::vector<Item>& items, const Page& page, ToJson&& to_json) {
  const auto after = numbered_id(page.after, "rule").value_or(0);
  Json out = Json::array();
  std::string next;
  for (const Item& item : items) {
    if (item.id.value <= after) continue;
    if (out.size() == page.limit) {
      next = out.back()["id"].template get<std::string>();
      break;
    }
    out.push_back(to_json(item));
  }
  return list_response(std::move(out), next);
}

Result<Response> list_rules(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  TRY_ASSIGN(auto rules, services.rules.rules(call.principal.organisation));
  std::erase_if(rules, [&](const RuleItem& rule) {
    return !sees_scope(services, call.principal, rule.scope);
  });
  if (const auto reference = call.request.query_value("twin")) {
    TRY_ASSIGN(const auto twin,
               find_twin(services, call.principal, Permission::kReadRules, *reference));
    std::erase_if(rules, [&](const RuleItem& rule) {
      const auto reached = services.twins.resolve_scope(call.principal.organisation, rule.scope);
      return !reached || std::find(reached->begin(), reached->end(), twin->id) == reached->end();
    });
  }
  return page_of(rules, page, rule_json);
}

Result<Response> create_rule(const Services& services, const Call& call) {
  TRY_ASSIGN(const RuleItem draft, read_rule(services, call));
  TRY_ASSIGN(const RuleItem rule,
             services.rules.create_rule(call.principal.organisation, draft, call.principal.name));
  services.configuration.rules_changed();
  return Response::json(rule_json(rule), 201);
}

Result<Response> replace_rule(const Services& services, const Call& call) {
  TRY_ASSIGN(const RuleItem before, find_rule(services, call));
  TRY(may_write_scope(services, call.principal, before.scope));
  TRY_ASSIGN(RuleItem draft, read_rule(services, call));
  draft.id = before.id;
  TRY_ASSIGN(const RuleItem rule,
             services.rules.replace_rule(call.principal.organisation, draft, call.principal.name));
  services.configuration.rules_changed();
  return Response::json(rule_json(rule));
}

Result<Response> delete_rule(const Services& services, const Call& call) {
  TRY_ASSIGN(const RuleItem rule, find_rule(services, call));
  TRY(may_write_scope(services, call.principal, rule.scope));
  TRY(services.rules.delete_rule(call.principal.organisation, rule.id, call.principal.name));
  services.configuration.rules_changed();
  return Response::no_content();
}

// -- detectors

Json detector_json(const Services& services, const DetectorItem& detector) {
  const auto twin = services.twins.twin(detector.twin);
  return {{"id", fmt::format("rule_{}", detector.id.value)},
          {"twin", twin ? twin->name : twin::to_text(detector.twin)},
          {"elements", detector.elements},
          {"kind", detector.kind},
          {"state", detector.state},
          {"detail", detector.detail},
          {"priority", name(detector.priority)},
          {"healthy_from", time_or_null(detector.healthy_from)},
          {"healthy_to", time_or_null(detector.healthy_to)},
          {"learned_at", time_or_null(detector.learned)},
          {"samples", detector.samples}};
}

bool sees_detector(const Services& services, const access::Principal& principal,
                   const DetectorItem& detector) {
  const auto twin = services.twins.twin(detector.twin);
  return twin ? principal.sees(twin->site) : principal.sites.empty();
}

Result<DetectorItem> find_detector(const Services& services, const Call& call) {
  const auto id = numbered_id(call.parameter("id"), "rule");
  TRY_ASSIGN(auto detectors, services.detectors.detectors(call.principal.organisation));
  for (auto& detector : detectors)
    if (id && detector.id.value == *id && sees_detector(services, call.principal, detector))
      return std::move(detector);
  return fail(ErrorCode::kNotFound, "there is no such detector", call.parameter("id"));
}

Result<Response> list_detectors(const Services& services, const Call& call) {
  TRY_ASSIGN(const Page page, Page::of(call.request));
  TRY_ASSIGN(auto detectors, services.detectors.detectors(call.principal.organisation));
  TwinId only;
  if (const auto reference = call.request.query_value("twin")) {
    TRY_ASSIGN(const auto twin,
               find_twin(services, call.principal, Permission::kReadRules, *reference));
    only = twin->id;
  }
  std::erase_if(detectors, [&](const DetectorItem& detector) {
    return !sees_detector(services, call.principal, detector) || (only && detector.twin != only);
  });
  return page_of(detectors, page,
                 [&](const DetectorItem& detector) { return detector_json(services, detector); });
}

/// A healthy window: both ends or none, in order.
Status read_window(const Services& services, BodyReader& body, Timestamp& from, Timestamp& to) {
  const std::string from_text = body.optional_text("from", 40),
                    to_text = body.optional_text("to", 40);
  TRY(body.done());
  const Timestamp now = services.clock.now();
  TRY_ASSIGN(from, parse_time(from_text, now, Timestamp()));
  TRY_ASSIGN(to, parse_time(to_text, now, from.us != 0 ? now : Timestamp()));
  if (to < from || (from.us == 0 && to.us != 0))
    return fail(ErrorCode::kInvalidArgument, "the healthy window needs from before to", "from");
  return {};
}

Result<Response> create_detector(const Services& services, const Call& call) {
  TRY_ASSIGN(auto body, BodyReader::of(call.request));
  DetectorItem draft;
  const std::string reference = body.text("twin", 80);
  draft.elements = body.maybe_texts("elements", 200).value_or(std::vector<std::string>{});
  const std::string priority = body.maybe_text("priority", 20).value_or("high");
  TRY(read_window(services, body, draft.healthy_from, draft.healthy_to));
  TRY_ASSIGN(draft.priority, parse_priority(priority));
  TRY_ASSIGN(const auto twin,
             find_twin(services, call.principal, Permission::kWriteRules, reference));
  draft.twin = twin->id;
  for (const auto& element : draft.elements)
    if (twin->model->element(element) == nullptr)
      return fail(ErrorCode::kInvalidArgument, "the twin has no element " + element, "elements");
  TRY_ASSIGN(const auto detector,
             services.detectors.create_detector(call.principal.organisation, draft));
  services.configuration.rules_changed();
  return Response::json(detector_json(services, detector), 201);
}

Result<Response> delete_detector(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto detector, find_detector(services, call));
  TRY(services.detectors.delete_detector(call.principal.organisation, detector.id));
  services.configuration.rules_changed();
  return Response::no_content();
}

Result<Response> learn(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto detector, find_detector(services, call));
  TRY_ASSIGN(auto body, BodyReader::of(call.request, true));
  Timestamp from, to;
  TRY(read_window(services, body, from, to));
  TRY_ASSIGN(const auto now,
             services.detectors.learn(call.principal.organisation, detector.id, from, to));
  return Response::json(detector_json(services, now), 202);
}

}  // namespace

void add_rule_routes(Router& router, const Services& services) {
  const auto bind = [&](Result<Response> (*handler)(const Services&, const Call&)) -> Handler {
    return [services, handler](const Call& call) { return handler(services, call); };
  };
  add_route(router, Method::kGet, "/rules", Permission::kReadRules, bind(list_rules));
  add_route(router, Method::kPost, "/rules", Permission::kWriteRules, bind(create_rule));
  add_route(router, Method::kGet, "/rules/{id}", Permission::kReadRules,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const RuleItem rule, find_rule(services, call));
              return Response::json(rule_json(rule));
            });
  add_route(router, Method::kPut, "/rules/{id}", Permission::kWriteRules, bind(replace_rule));
  add_route(router, Method::kDelete, "/rules/{id}", Permission::kWriteRules, bind(delete_rule));
  const RouteOptions slow{.lane = Lane::kSlow};  // learning reads history
  add_route(router, Method::kGet, "/detectors", Permission::kReadRules, bind(list_detectors));
  add_route(router, Method::kPost, "/detectors", Permission::kWriteRules, bind(create_detector),
            slow);
  add_route(router, Method::kGet, "/detectors/{id}", Permission::kReadRules,
            [services](const Call& call) -> Result<Response> {
              TRY_ASSIGN(const auto detector, find_detector(services, call));
              return Response::json(detector_json(services, detector));
            });
  add_route(router, Method::kDelete, "/detectors/{id}", Permission::kWriteRules,
            bind(delete_detector));
  add_route(router, Method::kPost, "/detectors/{id}/learn", Permission::kWriteRules, bind(learn),
            slow);
}

}  // namespace penstock::api
