#include "interop/lwm2m/core_link.h"

#include <charconv>

#include <fmt/format.h>

namespace penstock::interop::lwm2m {
namespace {

tl::unexpected<Error> not_links(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the list of links is not CoRE link format: {}", why));
}

template <class Number>
std::optional<Number> read_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

bool Attributes::empty() const { return *this == Attributes(); }

std::vector<std::string> Attributes::queries() const {
  std::vector<std::string> out;
  const auto add = [&](const char* name, const auto& value) {
    if (value) out.push_back(fmt::format("{}={}", name, *value));
  };
  add("pmin", pmin);
  add("pmax", pmax);
  add("epmin", epmin);
  add("epmax", epmax);
  add("gt", gt);
  add("lt", lt);
  add("st", st);
  return out;
}

Status Attributes::set(std::string_view attribute, std::string_view value) {
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                "attributes are pmin, pmax, epmin and epmax in whole seconds, gt, lt and st as "
                "numbers",
                fmt::format("{}={}", attribute, value));
  };
  const std::pair<std::string_view, std::optional<uint32_t>*> periods[] = {
      {"pmin", &pmin}, {"pmax", &pmax}, {"epmin", &epmin}, {"epmax", &epmax}};
  for (const auto& [name, target] : periods)
    if (name == attribute) {
      *target = read_number<uint32_t>(value);
      return *target ? Status() : Status(wrong());
    }
  const std::pair<std::string_view, std::optional<double>*> levels[] = {
      {"gt", &gt}, {"lt", &lt}, {"st", &st}};
  for (const auto& [name, target] : levels)
    if (name == attribute) {
      *target = read_number<double>(value);
      return *target ? Status() : Status(wrong());
    }
  return wrong();
}

Status Attributes::check() const {
  const auto wrong = [](const char* why) { return fail(ErrorCode::kInvalidArgument, why); };
  if (pmin && pmax && *pmin > *pmax) return wrong("pmin must not be larger than pmax");
  if (epmin && epmax && *epmin >= *epmax) return wrong("epmin must be smaller than epmax");
  if (st && *st <= 0) return wrong("st must be larger than 0");
  if (lt && gt && *lt >= *gt) return wrong("lt must be smaller than gt");
  if (lt && gt && st && *lt + 2 * *st >= *gt) return wrong("lt + 2 st must be smaller than gt");
  return {};
}

std::string_view Link::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return {};
}

namespace {

// A parameter's value: quoted, or up to the next ';' or ','.
Result<std::string> take_value(std::string_view& text) {
  std::string out;
  if (!text.starts_with('"')) {
    const size_t end = std::min(text.find_first_of(";,"), text.size());
    out = text.substr(0, end);
    text.remove_prefix(end);
    return out;
  }
  text.remove_prefix(1);
  while (!text.empty() && text.front() != '"') {
    if (text.front() == '\\' && text.size() > 1) text.remove_prefix(1);
    out.push_back(text.front());
    text.remove_prefix(1);
  }
  if (text.empty()) return not_links("a quoted value has no end");
  text.remove_prefix(1);
  return out;
}

void skip_space(std::string_view& text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\r' ||
                           text.front() == '\n'))
    text.remove_prefix(1);
}

Result<Link> take_link(std::string_view& text) {
  Link link;
  if (!text.starts_with('<')) return not_links("a link begins with '<'");
  const size_t end = text.find('>');
  if (end == std::string_view::npos) return not_links("a link has no '>'");
  link.target = text.substr(1, end - 1);
  text.remove_prefix(end + 1);
  skip_space(text);
  while (text.starts_with(';')) {
    text.remove_prefix(1);
    skip_space(text);
    const size_t name_end = std::min(text.find_first_of("=;,"), text.size());
    std::string name(text.substr(0, name_end));
    text.remove_prefix(name_end);
    std::string value;
    if (text.starts_with('=')) {
      text.remove_prefix(1);
      TRY_ASSIGN(value, take_value(text));
    }
    if (link.parameters.size() >= 64) return not_links("a link has more than 64 parameters");
    link.parameters.emplace_back(std::move(name), std::move(value));
    skip_space(text);
  }
  return link;
}

}  // namespace

Result<std::vector<Link>> parse_links(std::string_view text, size_t links_max) {
  std::vector<Link> out;
  skip_space(text);
  while (!text.empty()) {
    if (out.size() == links_max) return not_links("it has more links than are taken");
    TRY_ASSIGN(Link link, take_link(text));
    out.push_back(std::move(link));
    skip_space(text);
    if (text.empty()) break;
    if (!text.starts_with(',')) return not_links("links are divided by ','");
    text.remove_prefix(1);
    skip_space(text);
  }
  return out;
}

Result<RegisteredObjects> parse_registration(std::string_view text, size_t links_max) {
  TRY_ASSIGN(const auto links, parse_links(text, links_max));
  RegisteredObjects out;
  for (const Link& link : links) {
    if (link.parameter("rt") != "oma.lwm2m") continue;
    out.root = link.target == "/" ? "" : link.target;
    std::string_view formats = link.parameter("ct");
    while (!formats.empty()) {
      const size_t end = std::min(formats.find(' '), formats.size());
      if (const Format format = parse_format(formats.substr(0, end)); format != Format::kNone)
        out.formats.push_back(format);
      formats.remove_prefix(std::min(end + 1, formats.size()));
    }
  }
  if (out.root.ends_with('/')) out.root.pop_back();
  for (const Link& link : links) {
    std::string_view target = link.target;
    if (!out.root.empty()) {
      if (!target.starts_with(out.root)) continue;
      target.remove_prefix(out.root.size());
    }
    const auto path = Path::parse(target);
    if (!path || path->depth == 0 || path->depth > 2) continue;
    if (const auto version = link.parameter("ver"); !version.empty())
      out.versions[path->object()] = version.substr(0, 16);
    out.instances.push_back(*path);
  }
  return out;
}

}  // namespace penstock::interop::lwm2m
