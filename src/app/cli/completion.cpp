// penstock completion: words for the shell, from the commands themselves.

#include <fmt/format.h>

#include "app/cli/cli.h"

namespace penstock::app::cli {
namespace {

struct Word {
  std::string path;  // "device add"
  std::vector<std::string> subcommands, options;
};

void collect(const CLI::App& app, const std::string& path, std::vector<Word>& out) {
  Word word{path, {}, {}};
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) word.options.push_back("--" + name);
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    word.subcommands.push_back(child->get_name());
    collect(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), out);
  }
  out.push_back(std::move(word));
}

std::string bash_script(const std::vector<Word>& words) {
  std::string out =
      "# bash completion for penstock: source it, or put it into bash-completion's folder\n"
      "_penstock() {\n"
      "  local word path='' known words=''\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case $word in -*) continue ;; esac\n"
      "    known=\"${path:+$path }$word\"\n"
      "    case $known in\n";
  std::string paths;
  for (const Word& word : words)
    if (!word.path.empty()) paths += fmt::format("{}'{}'", paths.empty() ? "" : "|", word.path);
  out += fmt::format("      {}) path=$known ;;\n    esac\n  done\n  case $path in\n", paths);
  for (const Word& word : words)
    out += fmt::format("    '{}') words='{} {}' ;;\n", word.path, fmt::join(word.subcommands, " "),
                       fmt::join(word.options, " "));
  out +=
      "  esac\n"
      "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\")\n"
      "  [ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "
      "\"${COMP_WORDS[COMP_CWORD]}\")\n"
      "}\n"
      "complete -F _penstock penstock\n";
  return out;
}

std::string fish_script(const std::vector<Word>& words) {
  std::string out = "# fish completion for penstock\ncomplete -c penstock -f\n";
  for (const Word& word : words) {
    const std::string condition = word.path.empty()
                                      ? "__fish_use_subcommand"
                                      : fmt::format("__fish_seen_subcommand_from {}",
                                                    word.path.substr(word.path.rfind(' ') + 1));
    for (const std::string& sub : word.subcommands)
      out += fmt::format("complete -c penstock -n '{}' -a {}\n", condition, sub);
    for (const std::string& option : word.options)
      out += fmt::format("complete -c penstock -n '{}' -l {}\n", condition, option.substr(2));
  }
  return out;
}

}  // namespace

void add_completion(CLI::App& root) {
  auto* command =
      root.add_subcommand("completion", "Words for your shell: source <(penstock completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  on_run(command, [shell, &root]() -> Status {
    std::vector<Word> words;
    collect(root, "", words);
    if (*shell == "fish")
      fmt::print("{}", fish_script(words));
    else
      fmt::print("{}{}", *shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "",
                 bash_script(words));
    return {};
  });
}

}  // namespace penstock::app::cli
