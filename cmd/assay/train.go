package main

import "github.com/spf13/cobra"

func (c *console) trainCommand() *cobra.Command {
	return &cobra.Command{Use: "train", Run: func(*cobra.Command, []string) {}}
}
