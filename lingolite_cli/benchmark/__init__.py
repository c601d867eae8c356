"""Speed, memory and load time: each system alone in a fresh process, all of them measured in turn."""
