"""Runs checks and assembles the score; judges records again; tries known mistakes; watches."""
