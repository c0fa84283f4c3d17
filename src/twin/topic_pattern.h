#pragma once
// MQTT topics with names in them: "plant/{site}/{line}/{device}/data" says which part of a topic is
// what. One pattern serves a whole class of devices.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace penstock::twin {

/// Levels are literal, '+', a capture with text around it ("sensor-{device}"), or as the last one
/// '#' or "{name#}", which captures all that follows, slashes included. A capture takes at least
/// one character, and but for the latter of one level.
class TopicPattern {
 public:
  static constexpr size_t kCapturesMax = 8;
  /// What a topic's captures are, in the pattern's order. Views into the topic.
  struct Captures {
    std::array<std::string_view, kCapturesMax> values;
    size_t count = 0;
  };

  TopicPattern() = default;
  /// kInvalidArgument: not a topic filter, a name twice, more than eight captures or 32 levels.
  static Result<TopicPattern> parse(std::string_view text);

  [[nodiscard]] bool empty() const { return levels_.empty(); }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  /// Allocates nothing.
  [[nodiscard]] bool match(std::string_view topic, Captures& out) const;
  /// The index of a capture in Captures; names().size() where there is none of that name.
  [[nodiscard]] size_t index_of(std::string_view name) const;
  /// As an MQTT topic filter: captures become '+' or '#'.
  [[nodiscard]] std::string filter() const;
  /// A topic that this pattern and `other` both match; nothing where there is none.
  [[nodiscard]] std::optional<std::string> overlap(const TopicPattern& other) const;
  friend bool operator==(const TopicPattern& a, const TopicPattern& b) {
    return a.text_ == b.text_;
  }

 private:
  struct Level {
    std::string prefix, suffix;  // a literal is a prefix without capture
    bool capture = false;
    bool any = false;   // '+'
    bool rest = false;  // '#'; with capture: "{name#}"
    [[nodiscard]] bool literal() const { return !capture && !any && !rest; }
  };
  friend class TopicRoutes;
  static std::optional<std::string> common_level(const Level& a, const Level& b);
  static bool accepts(const Level& level, std::string_view text);
  std::string text_;
  std::vector<Level> levels_;
  std::vector<std::string> names_;
};

/// "{site}-{device}" with the captures of a topic put in. What a device's name may not hold is
/// percent-encoded.
class NameTemplate {
 public:
  NameTemplate() = default;
  /// kInvalidArgument: names a capture that `pattern` has not.
  static Result<NameTemplate> parse(std::string_view text, const TopicPattern& pattern);
  [[nodiscard]] bool empty() const { return parts_.empty(); }
  /// Appends to `out`.
  void expand(const TopicPattern::Captures& captures, std::string& out) const;

 private:
  struct Part {
    std::string literal;
    size_t capture = SIZE_MAX;
  };
  std::vector<Part> parts_;
};

}  // namespace penstock::twin
