#include "twin/topic_pattern.h"

#include <algorithm>

#include <fmt/format.h>

#include "twin/names.h"

namespace penstock::twin {
namespace {

constexpr size_t kLevelsMax = 32;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

}  // namespace

Result<TopicPattern> TopicPattern::parse(std::string_view text) {
  const auto wrong = [&](std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what), std::string(text.substr(0, 200)));
  };
  TopicPattern made;
  made.text_ = text;
  if (text.empty() || text.size() > 1024) return wrong("A topic pattern has 1 to 1024 bytes");
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('/', at), text.size());
    const std::string_view level = text.substr(at, end - at);
    if (!made.levels_.empty() && made.levels_.back().rest)
      return wrong("'#' stands for all that follows and is the last level");
    if (made.levels_.size() == kLevelsMax) return wrong("A topic pattern has at most 32 levels");
    Level next;
    const size_t open = level.find('{');
    const size_t close = level.find('}');
    if (level == "+" || level == "#") {
      next.any = level == "+";
      next.rest = level == "#";
    } else if (open != std::string_view::npos) {
      std::string_view name = close == std::string_view::npos || close < open
                                  ? ""
                                  : level.substr(open + 1, close - open - 1);
      if (name.ends_with('#')) {
        if (open != 0 || close + 1 != level.size())
          return wrong("{name#} takes all that follows: it stands alone as the last level");
        next.rest = true;
        name.remove_suffix(1);
      }
      if (!is_name(name))
        return wrong("A capture is {name} of lower-case letters, digits and '_', one a level");
      if (std::find(made.names_.begin(), made.names_.end(), name) != made.names_.end())
        return wrong(fmt::format("The name {{{}}} stands twice: captures differ", name));
      if (made.names_.size() == kCapturesMax) return wrong("A pattern has at most 8 captures");
      next.capture = true;
      next.prefix = level.substr(0, open);
      next.suffix = level.substr(close + 1);
      made.names_.emplace_back(name);
    } else {
      next.prefix = level;
    }
    if ((next.prefix + next.suffix).find_first_of("+#{}") != std::string::npos)
      return wrong("'+' and '#' stand alone in their level, and a level has one capture");
    made.levels_.push_back(std::move(next));
    at = end + 1;
  }
  TRY(check_topic_filter(made.filter()));
  return made;
}

bool TopicPattern::accepts(const Level& level, std::string_view text) {
  if (level.any) return true;
  if (!level.capture) return text == level.prefix;
  return text.size() > level.prefix.size() + level.suffix.size() &&
         text.starts_with(level.prefix) && text.ends_with(level.suffix);
}

bool TopicPattern::match(std::string_view topic, Captures& out) const {
  out.count = 0;
  size_t at = 0;
  for (const Level& level : levels_) {
    if (level.rest) {
      if (!level.capture) return true;
      if (at >= topic.size()) return false;
      out.values[out.count++] = topic.substr(at);
      return true;
    }
    if (at > topic.size()) return false;
    const size_t end = std::min(topic.find('/', at), topic.size());
    const std::string_view text = topic.substr(at, end - at);
    at = end + 1;
    if (!accepts(level, text)) return false;
    if (!level.capture) continue;
    out.values[out.count++] =
        text.substr(level.prefix.size(), text.size() - level.prefix.size() - level.suffix.size());
  }
  return at > topic.size();
}

size_t TopicPattern::index_of(std::string_view name) const {
  return static_cast<size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
}

std::string TopicPattern::filter() const {
  std::string out;
  for (const Level& level : levels_) {
    if (&level != levels_.data()) out.push_back('/');
    out.append(level.rest ? "#" : level.any || level.capture ? "+" : level.prefix);
  }
  return out;
}

// A text that both levels take; neither is the rest of a topic.
std::optional<std::string> TopicPattern::common_level(const Level& a, const Level& b) {
  if (a.literal()) return accepts(b, a.prefix) ? std::optional(a.prefix) : std::nullopt;
  if (b.literal()) return common_level(b, a);
  const auto longer = [](const std::string& one, const std::string& other) -> const std::string& {
    return one.size() > other.size() ? one : other;
  };
  std::string text = longer(a.prefix, b.prefix) + "x" + longer(a.suffix, b.suffix);
  if (!accepts(a, text) || !accepts(b, text)) return std::nullopt;
  return text;
}

std::optional<std::string> TopicPattern::overlap(const TopicPattern& other) const {
  Level anything;
  anything.any = true;
  std::string topic;
  for (size_t i = 0; i < std::max(levels_.size(), other.levels_.size()); ++i) {
    const bool here = i < levels_.size(), there = i < other.levels_.size();
    const Level& a = here ? levels_[i] : levels_.back();
    const Level& b = there ? other.levels_[i] : other.levels_.back();
    // Where one has ended, the other goes on alone: only its '#' may stand for nothing.
    if (!here && !a.rest) return b.rest && !b.capture ? std::optional(topic) : std::nullopt;
    if (!there && !b.rest) return a.rest && !a.capture ? std::optional(topic) : std::nullopt;
    const auto level = common_level(a.rest ? anything : a, b.rest ? anything : b);
    if (!level) return std::nullopt;
    if (i > 0) topic.push_back('/');
    topic.append(*level);
  }
  return topic;
}

Result<NameTemplate> NameTemplate::parse(std::string_view text, const TopicPattern& pattern) {
  NameTemplate made;
  while (!text.empty()) {
    const size_t open = text.find('{');
    if (open != 0) {
      made.parts_.push_back({std::string(text.substr(0, open)), SIZE_MAX});
      if (open == std::string_view::npos) break;
      text.remove_prefix(open);
    }
    const size_t close = text.find('}');
    const std::string_view name =
        close == std::string_view::npos ? std::string_view() : text.substr(1, close - 1);
    const size_t index = pattern.index_of(name);
    if (index == pattern.names().size())
      return fail(ErrorCode::kInvalidArgument, "The topic has no capture of that name",
                  std::string(text.substr(0, 64)));
    made.parts_.push_back({{}, index});
    text.remove_prefix(close + 1);
  }
  return made;
}

void NameTemplate::expand(const TopicPattern::Captures& captures, std::string& out) const {
  for (const Part& part : parts_) {
    if (part.capture == SIZE_MAX) {
      out.append(part.literal);
      continue;
    }
    for (const char c : captures.values[part.capture]) {
      if (c > ' ' && c < 0x7f && std::string_view("/+#\"\\%").find(c) == std::string_view::npos)
        out.push_back(c);
      else
        fmt::format_to(std::back_inserter(out), "%{:02X}",
                       static_cast<unsigned>(static_cast<uint8_t>(c)));
    }
  }
}

}  // namespace penstock::twin
